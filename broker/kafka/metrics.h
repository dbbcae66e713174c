// What one shard's Kafka door counted. Plain numbers, written on the shard's loop; whoever exports
// them copies them there.
#pragma once

#include <array>
#include <cstdint>

#include "broker/wire/messages/apis.h"
#include "common/clock.h"

namespace millrace::kafka {

/// Times in buckets that double: bucket i counts times of at most kFirst * 2^i; the last one counts
/// the rest.
class LatencyHistogram {
 public:
  static constexpr std::size_t kBuckets = 20;
  static constexpr common::Duration kFirst = std::chrono::microseconds(50);

  void record(common::Duration time);
  /// Upper bound of a bucket in seconds; the last one has none (infinity).
  static double upper_bound_seconds(std::size_t bucket);
  const std::array<std::uint64_t, kBuckets>& buckets() const { return buckets_; }
  std::uint64_t count() const { return count_; }
  double sum_seconds() const { return std::chrono::duration<double>(sum_).count(); }

 private:
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  common::Duration sum_{0};
};

/// One API. Latency runs from the whole frame being there to its answer being handed to the
/// socket's queue.
struct ApiMetrics {
  std::uint64_t requests = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  LatencyHistogram latency;
};

/// Why connections ended, as far as we ended them.
struct CloseCounts {
  std::uint64_t malformed = 0;
  std::uint64_t oversized = 0;
  std::uint64_t unsupported = 0;
  std::uint64_t unanswerable = 0;  // an acks=0 produce failed
  std::uint64_t idle = 0;
  std::uint64_t refused = 0;
  std::uint64_t stalled = 0;
};

struct Metrics {
  /// In the order of wire::kApis.
  std::array<ApiMetrics, wire::kApis.size()> apis;
  std::uint64_t connections_opened = 0;
  std::uint64_t connections_moved = 0;  // to another shard
  std::uint64_t connections_now = 0;
  CloseCounts closed;
  std::uint64_t memory_bytes = 0;
  std::uint64_t fetch_sessions = 0;
  std::uint64_t fetch_sessions_evicted = 0;
};

}  // namespace millrace::kafka
