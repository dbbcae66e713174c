#include "broker/kafka/metrics.h"

#include <limits>

namespace millrace::kafka {

void LatencyHistogram::record(common::Duration time) {
  std::size_t bucket = 0;
  common::Duration bound = kFirst;
  while (bucket + 1 < kBuckets && time > bound) {
    bound *= 2;
    ++bucket;
  }
  ++buckets_[bucket];
  ++count_;
  sum_ += time;
}

double LatencyHistogram::upper_bound_seconds(std::size_t bucket) {
  if (bucket + 1 >= kBuckets) return std::numeric_limits<double>::infinity();
  return std::chrono::duration<double>(kFirst * (std::int64_t{1} << bucket)).count();
}

}  // namespace millrace::kafka
