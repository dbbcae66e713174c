// Goal: a seed is a run. Method: run some twice, and compare everything that happened.
#include <gtest/gtest.h>

#include "tests/sim/seeds.h"

namespace millrace::sim {
namespace {

class Determinism : public testing::TestWithParam<std::uint32_t> {};

TEST_P(Determinism, TheSameSeedGivesTheSameRun) {
  const Outcome first = run_seed({.seed = 11, .brokers = GetParam()});
  const Outcome second = run_seed({.seed = 11, .brokers = GetParam()});
  EXPECT_EQ(first.failure, "");
  EXPECT_EQ(first.digest, second.digest);
  EXPECT_EQ(first.events, second.events);
  EXPECT_EQ(first.records_read, second.records_read);
}

TEST_P(Determinism, AnotherSeedGivesAnotherRun) {
  EXPECT_NE(run_seed({.seed = 12, .brokers = GetParam()}).digest,
            run_seed({.seed = 13, .brokers = GetParam()}).digest);
}

INSTANTIATE_TEST_SUITE_P(Sim, Determinism, testing::Values(1, 3));

}  // namespace
}  // namespace millrace::sim
