// Histogram latency;
// latency.add(elapsed_ns);
// latency.percentile(99.9) / 1000   // microseconds
//
// Counts of durations, exact to 1.6 %, in constant memory.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace millrace::bench {

/// Log-linear: 64 equal steps between each power of two and the next.
class Histogram {
 public:
  Histogram() : counts_(kBuckets) {}

  /// Negative values count as zero.
  void add(std::int64_t value) {
    const std::uint64_t v = value < 0 ? 0 : static_cast<std::uint64_t>(value);
    ++counts_[bucket_of(v)];
    ++count_;
    sum_ += static_cast<double>(v);
    if (v > max_) max_ = v;
  }
  std::int64_t count() const { return count_; }
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
  double max() const { return static_cast<double>(max_); }
  /// The smallest value that at least `percent` of the values do not exceed, rounded up to its
  /// step. 0 when empty.
  double percentile(double percent) const;

 private:
  static constexpr int kStepBits = 6;
  static constexpr std::uint64_t kSteps = 1U << kStepBits;
  static constexpr std::size_t kBuckets = (64 - kStepBits + 1) * kSteps;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kSteps) return value;
    const int shift = std::bit_width(value) - 1 - kStepBits;
    return static_cast<std::size_t>((static_cast<std::uint64_t>(shift) << kStepBits) +
                                    (value >> shift));
  }
  static double upper_end(std::size_t bucket);

  std::vector<std::int64_t> counts_;
  std::int64_t count_ = 0;
  double sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace millrace::bench
