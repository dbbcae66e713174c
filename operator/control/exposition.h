// Exposition out;   out.gauge("millrace_operator_leader", "1 while ...", 1);   out.text();
//
// Prometheus' text format, family by family. Names and meanings are compared with docs/metrics.md
// by a test, which reads the calls.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"

namespace prometheus {
struct MetricFamily;
}

namespace millrace::control {

/// Names and values, in the order in which they are shown.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

/// How long things took, in buckets that double from a millisecond. Not thread-safe.
class Latencies {
 public:
  static constexpr std::size_t kBuckets = 16;  // the last: up to 32.8 s
  void add(common::Duration took);
  /// Upper bound of bucket `i` in seconds.
  static double bound(std::size_t i);

  std::array<std::uint64_t, kBuckets> buckets{};
  std::uint64_t count = 0;
  double sum_seconds = 0;
};

class Exposition {
 public:
  Exposition();
  ~Exposition();
  void gauge(const std::string& name, const std::string& help, double value,
             const MetricLabels& labels = {});
  void counter(const std::string& name, const std::string& help, double value,
               const MetricLabels& labels = {});
  void histogram(const std::string& name, const std::string& help, const Latencies& from,
                 const MetricLabels& labels = {});
  std::string text() const;

 private:
  prometheus::MetricFamily& family(const std::string& name, const std::string& help, int type);

  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, std::size_t> index_;
};

}  // namespace millrace::control
