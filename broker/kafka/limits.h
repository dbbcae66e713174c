// What one connection and one shard's Kafka door may take. Filled from the broker's settings; tests
// make them small.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "common/clock.h"

namespace millrace::kafka {

struct Limits {
  /// A larger announced frame closes its connection (socket.request.max.bytes).
  std::size_t request_bytes_max = std::size_t{100} << 20;
  /// Requests of one connection that are worked on at once; then it is not read until answers left.
  std::size_t requests_per_connection_max = 128;
  /// Answers of one connection that wait for a slow reader; above it the connection is not read.
  std::size_t response_bytes_waiting_max = std::size_t{8} << 20;
  /// Frames and waiting answers of all connections of this shard. Above it sockets are not read.
  std::size_t memory_bytes_max = std::size_t{128} << 20;
  /// A connection without traffic for this long is closed (connections.max.idle.ms).
  common::Duration idle_max = std::chrono::minutes(10);
  /// Most bytes of one Fetch answer (fetch.max.bytes).
  std::size_t fetch_bytes_max = std::size_t{55} << 20;
  /// Incremental fetch sessions kept by this shard.
  std::size_t fetch_sessions_max = 1000;
  /// While memory is short, a sender or reader that does not move for this long is closed to make
  /// room.
  common::Duration stall_max = std::chrono::seconds(5);
};

}  // namespace millrace::kafka
