#include "bench/load/histogram.h"

#include <algorithm>
#include <cmath>

namespace millrace::bench {

double Histogram::upper_end(std::size_t bucket) {
  if (bucket < kSteps) return static_cast<double>(bucket);
  // bucket_of() adds the value's leading one to the shift: undo both.
  const auto shift = static_cast<int>(bucket / kSteps) - 1;
  const double step = static_cast<double>(bucket % kSteps + kSteps);
  return std::ldexp(step + 1, shift) - 1;
}

double Histogram::percentile(double percent) const {
  if (count_ == 0) return 0;
  const auto wanted =
      static_cast<std::int64_t>(std::ceil(percent / 100 * static_cast<double>(count_)));
  std::int64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= std::max<std::int64_t>(wanted, 1)) return std::min(upper_end(i), max());
  }
  return max();
}

}  // namespace millrace::bench
