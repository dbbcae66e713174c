// if (mutated(Mutation::kRestartUnpermitted)) ...
//
// Bugs that a second build of the operator, made for the simulator's tests alone, can put back in,
// to show that the simulator's checks find them (tests/sim/operator/mutation_test.cc). In the
// shipping build mutated() is a constant.
#pragma once

#include <cstdint>

namespace millrace::plan {

enum class Mutation : std::uint8_t {
  kNone,
  kRestartUnpermitted,  // pods are deleted without asking the brokers
  kIgnoreHold,          // held pods are restarted, too
  kLowerUnretired,      // an empty broker's pod goes without the broker's receipt
  kDeleteUnretired,     // a volume goes without a receipt
  kKeepDrain,           // a broker that is to stay after all is emptied all the same
  kKeepFinalizer,       // a topic's resource never goes
  kReportAlways,        // a condition that says the same has a new time each time
  kReportBlindly,       // a status is written over versions that were not read
};

#ifdef MILLRACE_OPERATOR_MUTATIONS
inline namespace mutant {
/// The one that is on in this program; kNone to begin with.
Mutation& active_mutation();
inline bool mutated(Mutation mutation) {
  return active_mutation() == mutation;
}
}  // namespace mutant
#else
constexpr bool mutated(Mutation) {
  return false;
}
#endif

}  // namespace millrace::plan
