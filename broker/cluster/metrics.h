// What goes on between brokers, in numbers.
#pragma once

#include <cstdint>

namespace millrace::cluster {

/// Of one shard. Counts grow from the start of the process.
struct MeshMetrics {
  std::uint64_t bytes_out = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t frames_out = 0;
  std::uint64_t frames_in = 0;
  std::uint64_t messages_out = 0;  // of Raft
  std::uint64_t messages_in = 0;
  std::uint64_t calls_out = 0;
  std::uint64_t calls_in = 0;
  std::uint64_t calls_failed = 0;  // without an answer of the other broker

  std::uint64_t connections_made = 0;
  std::uint64_t connections_lost = 0;
  std::uint64_t dropped_down = 0;   // messages for a broker that is not connected
  std::uint64_t dropped_full = 0;   // messages over queue_bytes_max
  std::uint64_t dropped_stray = 0;  // messages for or from another process or replica
  std::uint64_t malformed = 0;      // connections closed because of what they brought

  // Now.
  std::uint64_t queued_bytes = 0;
  std::uint64_t input_bytes = 0;
  std::uint64_t links_open = 0;
};

/// Of the broker.
struct HubMetrics {
  std::uint64_t heartbeats_out = 0;
  std::uint64_t heartbeats_in = 0;
  std::uint64_t heartbeats_late = 0;
  std::uint64_t accepted = 0;  // connections
  std::uint64_t refused = 0;   // of them, with a reason or as garbage
  std::uint64_t suspicions = 0;
  std::uint64_t restarts = 0;
  std::uint64_t leaders_out = 0;  // entries of the table of leaders
  std::uint64_t leaders_in = 0;
  std::uint64_t repairs = 0;  // sums sent because tables differed

  // Now.
  std::uint64_t brokers_alive = 0;
  std::uint64_t brokers_suspected = 0;
  std::uint64_t leaders_known = 0;
};

}  // namespace millrace::cluster
