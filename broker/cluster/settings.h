// Times and bounds of what goes on between brokers.
#pragma once

#include <cstddef>

#include "common/clock.h"

namespace millrace::cluster {

using common::Duration;
using common::Instant;

/// The same for all shards of a broker. Outlives them.
struct Settings {
  /// raft.heartbeat: how often a broker says that it is there.
  Duration heartbeat = std::chrono::milliseconds(150);
  /// raft.election.timeout.ms: a broker that is silent for so long is suspected.
  Duration silence_max = std::chrono::milliseconds(1000);
  /// An attempt to connect, or a handshake, that takes longer is given up.
  Duration connect_max = std::chrono::seconds(2);
  Duration handshake_max = std::chrono::seconds(2);
  /// Between two attempts, at random between half of it and all of it; doubled from attempt to
  /// attempt.
  Duration backoff_min = std::chrono::milliseconds(20);
  Duration backoff_max = std::chrono::seconds(1);
  /// A connection that takes no byte of what waits for it, or that brings no byte of a frame that
  /// is half there, for so long is broken.
  Duration stall_max = std::chrono::seconds(10);
  /// How often tables of leaders that differ are repaired.
  Duration repair = std::chrono::seconds(2);
  /// A broker that nobody told us of is forgotten after so much silence.
  Duration guest_silence_max = std::chrono::minutes(1);

  /// Most data of one frame: larger than the largest batch that a client can send.
  std::size_t frame_bytes_max = std::size_t{128} << 20;
  /// What may wait to be written to one connection. Above it Raft's messages are dropped and calls
  /// refused; one message may always wait, whatever its size.
  std::size_t queue_bytes_max = std::size_t{32} << 20;
  /// Frames that are half there, of all connections of a shard. Above it no new frame is begun.
  std::size_t input_bytes_max = std::size_t{64} << 20;
  /// Calls of one connection that wait for their answers.
  std::size_t calls_max = 4096;
  /// Brokers, told or met.
  std::size_t peers_max = 256;
  /// Brokers that are met without anybody having told us of them.
  std::size_t guests_max = 32;
  /// Partitions whose leaders are known.
  std::size_t partitions_max = 1'000'000;
};

}  // namespace millrace::cluster
