// What came of a run.
#pragma once

#include <cstdint>
#include <string>

#include "common/clock.h"

namespace millrace::sim {

struct Outcome {
  /// Empty: all is well.
  std::string failure;
  std::uint64_t digest = 0;
  std::uint64_t events = 0;
  common::Duration simulated{0};
  std::uint64_t records_acknowledged = 0;
  std::uint64_t records_read = 0;
  std::uint64_t starts = 0;
  std::uint64_t elections = 0;
  std::uint64_t voter_sets = 0;
};

}  // namespace millrace::sim
