// const Outcome outcome = run_seed({.seed = 7});   run_apart({.seed = 7}, [] { ... });
//
// From a number to a run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace millrace::sim {

/// Names a run: the same one gives the same, event by event.
struct SeedName {
  std::uint64_t seed = 1;
  /// Of the cluster at its begin; 0: chance decides.
  std::uint32_t brokers = 0;
};

/// What of a run gets from one process to another.
struct Report {
  bool failed = true;
  std::uint64_t digest = 0;
  std::uint64_t records = 0;
  std::uint64_t starts = 0;
  std::uint64_t elections = 0;
  std::uint64_t voter_sets = 0;
  double simulated_seconds = 0;
};

Outcome run_seed(const SeedName& name, bool traced = false);

/// The same in a process of its own: brokers that are killed leave their memory behind, and a
/// failed CHECK ends one seed only. Prints what failed, and how to see it again. `twice`: a second
/// time, to see whether the runs are the same.
Report run_apart(const SeedName& name, bool twice);

/// One line of a file of seeds that found something: "BROKERS SEED what it found"; "#" begins a
/// comment. Ends the process where the file is not like that.
std::vector<SeedName> read_seeds(const std::string& path);

}  // namespace millrace::sim
