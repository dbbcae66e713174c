// Connection connection({loop, transport, endpoint, trace, name});
// connection.send(frame, id, 5s, [](Result<Bytes> answer) { ... });
//
// A client's connection to one broker: made when it is needed, given up when an answer does not
// come.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "broker/env/transport.h"
#include "broker/wire/chunks.h"
#include "common/reply.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

using common::Bytes;
using common::Duration;
using common::Reply;
using common::Result;

/// Answers come in the order of the requests, which is checked. Loop thread only; lives as long as
/// its loop runs.
class Connection {
 public:
  struct Parts {
    env::Loop& loop;
    env::Transport& transport;
    env::Endpoint endpoint;
    Trace& trace;
    std::string owner;
  };
  explicit Connection(Parts parts) : parts_(std::move(parts)) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// `frame`: a whole request, which carries this correlation id. Answered, never inside this call,
  /// with what follows the answer's length; kBrokerNotAvailable: it was not sent;
  /// kNetworkException or kRequestTimedOut: perhaps it was done.
  void send(const wire::Chunks& frame, std::int32_t correlation_id, Duration timeout,
            Reply<Result<Bytes>> answer);
  /// A request that has no answer (acks=0). Lost if it cannot be sent.
  void send_only(const wire::Chunks& frame);
  /// Ends it, as if the broker had.
  void reset();

 private:
  struct Waiting {
    std::int32_t correlation_id;
    std::uint64_t begin;  // where its first byte is in the stream
    env::TimerId timer;
    Reply<Result<Bytes>> answer;
  };
  void connect();
  void enqueue(const wire::Chunks& frame);
  void write();
  void read();
  bool take_frames();
  void end(model::ErrorCode code);

  const Parts parts_;
  std::unique_ptr<env::Connection> socket_;
  bool connecting_ = false;
  bool waits_for_room_ = false;
  std::uint64_t generation_ = 0;  // of the socket; callbacks of an earlier one are late
  std::deque<Bytes> out_;
  std::size_t out_taken_ = 0;  // of the front one
  std::uint64_t queued_ = 0;
  std::uint64_t written_ = 0;
  std::vector<std::uint8_t> in_;
  std::deque<Waiting> waiting_;
};

}  // namespace millrace::sim
