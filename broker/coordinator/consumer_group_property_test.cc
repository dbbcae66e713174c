// Goal (E40 to E42): whatever happens, no partition has two users among the members of a group, no
// member's epoch goes back, nor does what members committed, and once faults stop, every partition
// is served within a bound.
// Method: a crowd of clients (testing/crowd.h), seed by seed; and one run cut off at every step.
// MILLRACE_SEED and MILLRACE_SEEDS: the first seed, and how many.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "broker/coordinator/testing/crowd.h"

namespace millrace::coordinator {
namespace {

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void live(std::uint64_t seeds, const CrowdOptions& options) {
  const std::uint64_t first = number_of("MILLRACE_SEED", 0);
  const std::uint64_t end = first + number_of("MILLRACE_SEEDS", seeds);
  for (std::uint64_t seed = first; seed < end; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    CrowdOptions mine = options;
    if (seed % 3 == 0) mine.interval_ms = 1'000;
    if (seed % 2 == 0) mine.rounds = Rounds::kEager;
    Crowd crowd(seed, mine);
    for (int step = 0; step < 250; ++step) {
      crowd.step();
      if (testing::Test::HasFailure()) FAIL() << "step " << step << "\n" << crowd.story();
    }
    crowd.heal();
    crowd.expect_everything_served();
    if (testing::Test::HasFailure()) FAIL() << crowd.story();
  }
}

TEST(ConsumerGroupProperty, MembersOfTheConsumerProtocol) {
  live(60, {});
}
TEST(ConsumerGroupProperty, GroupsOfBothProtocolsThatMigrate) {
  live(100, {.classic_percent = 50});
}
TEST(ConsumerGroupProperty, MostlyClassicMembers) {
  live(60, {.classic_percent = 85});
}
TEST(ConsumerGroupProperty, GroupsThatOnlyGoUp) {
  live(60, {.classic_percent = 60, .migration = Settings::Migration::kUpgrade});
}

TEST(ConsumerGroupProperty, TheCoordinatorDiesAfterEachStep) {
  for (int last = 0; last < 120; ++last) {
    SCOPED_TRACE(fmt::format("the coordinator dies after step {}", last));
    Crowd crowd(42, {.classic_percent = 30});
    for (int step = 0; step < last; ++step) crowd.step();
    crowd.move_coordinator();
    crowd.heal();
    crowd.expect_everything_served();
    if (testing::Test::HasFailure()) FAIL() << crowd.story();
  }
}

}  // namespace
}  // namespace millrace::coordinator
