// const Outcome outcome = run_seed({.seed = 7});
//
// From a number to a run.
#pragma once

#include "tests/sim/outcome.h"
#include "tests/sim/seed_name.h"

namespace millrace::sim {

Outcome run_seed(const SeedName& name, bool traced = false);

}  // namespace millrace::sim
