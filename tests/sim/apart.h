// const std::string failure = failure_apart([] { return run_seed({.seed = 7}); });
//
// Runs in processes of their own, for tests in which a CHECK may end one, or a bug may go on for
// ever.
#pragma once

#include <functional>
#include <string>

#include "tests/sim/outcome.h"

namespace millrace::sim {

/// What was found, or how the process ended; empty: all is well. It is ended after two minutes.
std::string failure_apart(const std::function<Outcome()>& run);

}  // namespace millrace::sim
