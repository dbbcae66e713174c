// The only source of chance. Code takes a Random& and never asks the machine, so that a seed
// replays a run.
#pragma once

#include <cstdint>

#include "common/check.h"

namespace millrace::common {

/// xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64. Not for secrets. Not
/// thread-safe.
class Random {
 public:
  explicit Random(std::uint64_t seed);
  /// Uniform over all 64-bit values.
  std::uint64_t next();
  /// Uniform over [0, bound). Requires bound > 0.
  std::uint64_t below(std::uint64_t bound);
  /// Uniform over [low, high], both included. Requires low <= high.
  std::int64_t between(std::int64_t low, std::int64_t high);
  /// True with probability numerator/denominator.
  bool chance(std::uint64_t numerator, std::uint64_t denominator) {
    return below(denominator) < numerator;
  }
  /// A generator of its own, whose draws do not disturb this one's further sequence.
  Random fork() { return Random(next()); }

 private:
  std::uint64_t state_[4];
};

/// A seed from the operating system. Called once, in main.
std::uint64_t system_seed();

}  // namespace millrace::common
