// const SeedName name{.seed = 7};   common::Random random = scenario_random(name.seed);
#pragma once

#include <cstdint>

#include "common/random.h"

namespace millrace::sim {

/// Names a run: the same one gives the same, event by event.
struct SeedName {
  std::uint64_t seed = 1;
  /// Of the cluster at its begin; 0: chance decides.
  std::uint32_t brokers = 0;
};

/// What happens and what it happens to are drawn apart, so that a change of one of them keeps the
/// other.
inline common::Random scenario_random(std::uint64_t seed) {
  return common::Random(seed * 0x9e3779b97f4a7c15);
}

}  // namespace millrace::sim
