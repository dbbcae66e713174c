// auto [near, far] = make_wire(loop);   server.accept(std::move(near));   far->send(bytes);
// far->received();
//
// A connection whose other end is the test itself: it decides byte by byte what arrives and what
// fits.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "broker/env/transport.h"

namespace millrace::kafka::testing {

/// The test's end. Lives on after the connection is destroyed.
class WireEnd {
 public:
  /// Bytes arrive at the broker, in pieces as its reads ask for them.
  void send(std::string_view bytes);
  /// No more bytes come: the broker reads what is there and then the end.
  void shut();
  /// What the broker wrote, taken away.
  std::string take_received() { return std::exchange(received_, {}); }
  const std::string& received() const { return received_; }
  /// How many more bytes the broker may write before its writes wait. Unlimited at first.
  void set_room(std::size_t bytes);
  /// Whether the broker destroyed its end.
  bool broker_closed() const { return closed_by_broker_; }
  /// Bytes that the broker has not read yet.
  std::size_t unread() const { return incoming_.size() - read_; }
  /// write() calls that took something.
  std::size_t writes() const { return writes_; }

 private:
  friend class WireConnection;
  explicit WireEnd(env::Loop& loop) : loop_(loop) {}
  void wake();

  env::Loop& loop_;
  std::string incoming_;
  std::size_t read_ = 0;
  std::string received_;
  std::size_t room_ = SIZE_MAX;
  std::size_t writes_ = 0;
  bool shut_ = false;
  bool closed_by_broker_ = false;
  env::Task readable_;
  env::Task writable_;
  std::weak_ptr<WireEnd> self_;

  friend std::pair<std::unique_ptr<env::Connection>, std::shared_ptr<WireEnd>> make_wire(
      env::Loop& loop);
};

std::pair<std::unique_ptr<env::Connection>, std::shared_ptr<WireEnd>> make_wire(env::Loop& loop);

}  // namespace millrace::kafka::testing
