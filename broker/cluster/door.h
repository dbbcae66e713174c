// Connections of other brokers to the hub: those who have not said yet who they are, and those that
// bring heartbeats.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "broker/cluster/stream.h"

namespace millrace::cluster {

class Hub;

/// Somebody who has connected. Destroyed only where it is not on the stack, as a Pulse.
class Visitor final : private StreamOwner {
 public:
  Visitor(Hub& hub, StreamPool& pool, std::unique_ptr<env::Connection> connection);
  void start() { stream_.start(); }
  /// Says why not. He is expected to go.
  void turn_away(const TurnedAway& refusal);
  /// He is let in: nothing more is read, so that the connection can be given to somebody else.
  void hold() { stream_.stop_reading(); }
  /// His hello, once it has come.
  const std::optional<Hello>& hello() const { return hello_; }
  Instant came() const { return came_; }
  const std::string& peer() const { return stream_.peer(); }
  bool closed() const { return stream_.closed(); }
  void close() { stream_.close(); }
  std::unique_ptr<env::Connection> release() { return stream_.release(); }

 private:
  Result<std::size_t> on_body(const FrameHead& head, Bytes body) override;
  Result<std::size_t> on_piece(Bytes piece) override;
  void on_end(StreamEnd end, const std::string& why) override;

  Hub& hub_;
  const Instant came_;
  std::optional<Hello> hello_;
  Stream stream_;
};

/// The connection by which a broker lets us hear its heart.
class Pulse final : private StreamOwner {
 public:
  Pulse(Hub& hub, StreamPool& pool, std::unique_ptr<env::Connection> connection,
        std::shared_ptr<const Introduction> who, std::uint8_t version);
  /// Answers the hello, and begins to read.
  void start(const Introduction& self);
  const Introduction& who() const { return *who_; }
  std::uint8_t version() const { return version_; }
  void close() { stream_.close(); }

 private:
  Result<std::size_t> on_body(const FrameHead& head, Bytes body) override;
  Result<std::size_t> on_piece(Bytes piece) override;
  void on_end(StreamEnd end, const std::string& why) override;

  Hub& hub_;
  const std::shared_ptr<const Introduction> who_;
  const std::uint8_t version_;
  Stream stream_;
};

}  // namespace millrace::cluster
