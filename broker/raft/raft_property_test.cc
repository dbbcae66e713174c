// Goal: whatever the network, the disks and the processes do, there is one leader per term, logs
// match, what was committed stays and is on a majority of disks, voter sets change safely, who
// would answer readers knows all that is committed; and when the faults end, the group works and
// becomes quiet. Method: random runs of one group, each from a seed, with checks after every event
// (testing/oracle.h). A failing seed prints the command that replays it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "broker/raft/testing/simulator.h"

namespace millrace::raft {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::stoull(text);
}

// Each of these once showed something wrong, in the core or in a check. What was wrong in the core
// has a script or a test of its own as well.
constexpr std::uint64_t kFound[] = {202000};

Verdict run_seed(std::uint64_t seed) {
  Simulator simulator({.seed = seed, .trace = std::getenv("RAFT_TRACE") != nullptr});
  const Verdict verdict = simulator.run();
  EXPECT_TRUE(verdict.failure.empty())
      << "seed " << seed << ": " << verdict.failure << "\nreplay: RAFT_TRACE=1 RAFT_SEED=" << seed
      << " build/release/bin/raft_property_test --gtest_filter=Raft.HoldsUnderFaults";
  return verdict;
}

TEST(Raft, HoldsUnderFaults) {
  const std::uint64_t first = number_from("RAFT_SEED", 1);
  const bool one = std::getenv("RAFT_SEED") != nullptr && std::getenv("RAFT_SEEDS") == nullptr;
  const std::uint64_t count = one ? 1 : number_from("RAFT_SEEDS", 5000);
  Verdict total;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Verdict verdict = run_seed(seed);
    total.events += verdict.events;
    total.committed += verdict.committed;
    total.elections += verdict.elections;
    total.lossy_elections += verdict.lossy_elections;
    total.configs += verdict.configs;
    total.led += verdict.led;
    total.leased += verdict.leased;
    if (testing::Test::HasFailure()) break;
  }
  fmt::print(
      "{} seeds: {} events, {} records committed, {} terms led, {} voter sets, {} unclean, lease "
      "in "
      "{} of {} looks\n",
      count, total.events, total.committed, total.elections, total.configs, total.lossy_elections,
      total.leased, total.led);
  if (count >= 500) {
    // The runs must be worth something.
    EXPECT_GT(total.committed, 0);
    EXPECT_GT(total.elections, count);
    EXPECT_GT(total.configs, count);
    EXPECT_GT(total.lossy_elections, 0U);
    EXPECT_GT(total.leased, total.led / 2);
  }
}

TEST(Raft, FoundSeedsStayFixed) {
  for (const std::uint64_t seed : kFound) run_seed(seed);
}

// Goal: a seed is a run. Method: twice the same, the same digest.
TEST(Raft, ASeedIsARun) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed)
    EXPECT_EQ(run_seed(seed).digest, run_seed(seed).digest) << seed;
}

}  // namespace
}  // namespace millrace::raft
