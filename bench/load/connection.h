// Sockets to the broker: one that blocks, for the few questions before a run, and one that never
// does, for the run.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "bench/load/options.h"
#include "bench/load/wire.h"
#include "common/bytes.h"

struct epoll_event;

namespace millrace::bench {

/// A connected TCP socket without delay, or -1 where nothing answers. The caller closes it.
int dial(const Endpoint& endpoint);

/// One request, one answer, blocking for at most the given time. nullopt: the connection is of no
/// use any more.
class Session {
 public:
  Session(const Endpoint& endpoint, std::chrono::milliseconds timeout);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  bool open() const { return fd_ >= 0; }
  /// body: all after the head. The answer is all after its correlation id.
  std::optional<Buffer> call(Api api, const Buffer& body);
  /// The two halves of call(), with time between them. False: the connection is of no use any more.
  bool ask(Api api, const Buffer& body);
  /// Whether the answer has begun to arrive, or the connection has ended, within that time.
  bool wait(std::chrono::milliseconds time) const;
  std::optional<Buffer> answer();

 private:
  bool receive(common::MutableByteView bytes);
  int fd_;
  std::int32_t correlation_ = 0;
};

/// A socket that is written with gathered writes of bodies that others own. Not thread-safe.
class Connection {
 public:
  /// Ends the program when nothing answers. read_bytes: room for answers at first; it grows with
  /// them.
  explicit Connection(const Endpoint& endpoint, std::size_t read_bytes = kReadBytes);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  /// Puts a request at the end of what is to be sent. The body must stay unchanged until it is
  /// sent.
  void queue(Api api, std::int32_t correlation, common::ByteView body);
  /// Sends as much as the socket takes. Returns how many requests left it entirely.
  int flush();
  bool all_sent() const { return outgoing_.empty(); }
  /// Reads once what is there and calls `on_answer` with each whole answer, correlation id
  /// included.
  void read_answers(const std::function<void(common::ByteView)>& on_answer);
  /// Reads once into `bytes`. 0: nothing there. Ends the program when the broker closed the
  /// connection.
  std::size_t read_some(common::MutableByteView bytes);

 private:
  static constexpr std::size_t kReadBytes = 64 << 10;
  struct Request {
    std::array<std::uint8_t, kHeadBytes> head;
    common::ByteView body;
  };
  int fd_;
  std::deque<Request> outgoing_;
  std::size_t front_sent_ = 0;  // bytes of the first request that are gone already
  Buffer incoming_;
  std::size_t incoming_size_ = 0;
};

/// Which connections can be read or written. Tags are the caller's.
class Poller {
 public:
  struct Ready {
    std::uint32_t tag;
    bool readable;
    bool writable;
  };
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void add(int fd, std::uint32_t tag);
  void watch_writable(int fd, std::uint32_t tag, bool wanted);
  /// Waits up to that long, to the nanosecond. The answer is valid until the next call.
  std::span<const Ready> wait(std::chrono::nanoseconds timeout);

 private:
  void control(int operation, int fd, std::uint32_t tag, std::uint32_t events);
  int fd_;
  std::vector<Ready> ready_;
};

}  // namespace millrace::bench
