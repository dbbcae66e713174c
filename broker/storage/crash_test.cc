// Crash points at random places of random work: nothing acknowledged is lost, nothing is invented
// or changed, and the store always starts. MILLRACE_CRASH_POINTS sets how many crash points are
// tried, MILLRACE_SEED the first seed.
#include <gtest/gtest.h>

#include <unistd.h>
#include <csignal>
#include <cstdlib>

#include "broker/storage/testing/crash_run.h"

namespace millrace::storage {
namespace {

using testing::CrashRun;
using testing::CrashRunOptions;
using testing::FlawedDisk;

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// A failed CHECK ends the process: say then which seed it was.
std::uint64_t current_seed = 0;
void print_seed(int) {
  char text[] = "seed 00000000000000000000\n";
  std::uint64_t seed = current_seed;
  for (std::size_t at = sizeof(text) - 3; at > 4; --at, seed /= 10)
    text[at] = static_cast<char>('0' + seed % 10);
  (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
}

std::optional<std::string> run(std::uint64_t seed, const CrashRunOptions& options) {
  current_seed = seed;
  CrashRun one(seed, options);
  return one.go();
}

// Answers how many segments compaction replaced.
std::uint64_t run_many(std::uint64_t points, const CrashRunOptions& options) {
  std::signal(SIGABRT, print_seed);
  const std::uint64_t first = number_of("MILLRACE_SEED", 1);
  const std::uint64_t runs = points / static_cast<std::uint64_t>(options.cycles) + 1;
  std::uint64_t replaced = 0;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    current_seed = seed;
    CrashRun one(seed, options);
    const auto wrong = one.go();
    replaced += one.segments_replaced();
    EXPECT_FALSE(wrong.has_value()) << "seed " << seed << ": " << *wrong;
    if (wrong.has_value()) break;
  }
  return replaced;
}

// Goal: the promise of the journal. Method: random work on three partitions with tiny files, power
// lost at random.
TEST(CrashTest, NothingAcknowledgedIsLostNothingInvented) {
  run_many(number_of("MILLRACE_CRASH_POINTS", 3000), {.cycles = 10});
}

// Goal: a failed write or sync ends the process and nothing acknowledged is lost by going on behind
// it.
TEST(CrashTest, FailedWritesAndSyncsAreFatalAndLoseNothing) {
  run_many(number_of("MILLRACE_CRASH_POINTS", 2000) / 2, {.cycles = 10, .failures = true});
}

// Goal: compaction takes away nothing but what it may, whatever the moment the power goes. Method:
// keyed records, logs that are compacted all the time, checked against a map of last values.
TEST(CrashTest, CompactionLeavesWhatItMust) {
  const std::uint64_t points = number_of("MILLRACE_CRASH_POINTS", 3000) / 2;
  const std::uint64_t replaced = run_many(points, {.cycles = 10, .compaction = true});
  EXPECT_GT(replaced, points / 4) << "too little was compacted to say anything";
}

TEST(CrashTest, FailedWritesOfCompactionAreFatalAndLoseNothing) {
  run_many(number_of("MILLRACE_CRASH_POINTS", 2000) / 4,
           {.cycles = 10, .failures = true, .compaction = true});
}

// Goal: the same with what replicas of a group do: states, resets, and producers as they were at
// the commit offset, with all batches behind it.
TEST(CrashTest, ReplicasFindWhatTheyPutDown) {
  run_many(number_of("MILLRACE_CRASH_POINTS", 3000), {.cycles = 10, .replica = true});
}

TEST(CrashTest, ReplicasOfCompactedLogsFindWhatTheyPutDown) {
  run_many(number_of("MILLRACE_CRASH_POINTS", 2000) / 2,
           {.cycles = 10, .failures = true, .compaction = true, .replica = true});
}

// Seeds that found something once, with what it was.
struct FoundBy {
  std::uint64_t seed;
  bool failures;
  const char* what;
  bool compaction = false;
  bool replica = false;
};
class FoundOnceTest : public ::testing::TestWithParam<FoundBy> {};

TEST_P(FoundOnceTest, StaysFixed) {
  std::signal(SIGABRT, print_seed);
  const auto wrong = run(GetParam().seed, {.cycles = 10,
                                           .failures = GetParam().failures,
                                           .compaction = GetParam().compaction,
                                           .replica = GetParam().replica});
  EXPECT_FALSE(wrong.has_value()) << GetParam().what << ": " << *wrong;
}

INSTANTIATE_TEST_SUITE_P(
    Seeds, FoundOnceTest,
    ::testing::Values(
        FoundBy{207, false, "a truncation cut short what the checkpoint waited to be written"},
        FoundBy{240, false, "a checkpoint was stored before the removal it relied on was durable"},
        FoundBy{142, false,
                "the delayed removal of an old segment met a new log in the same folder"},
        FoundBy{2001, false, "a truncated segment's file was removed when the segment began again"},
        FoundBy{8482, false,
                "a checkpoint begun within an append waited for a part that the journal held"},
        FoundBy{9463, false, "a reader went on in a log that was removed meanwhile"},
        FoundBy{450, true, "a sealed segment was cut before its truncation was durable"},
        FoundBy{755, true, "rounds went to a journal file whose name was never synced"},
        FoundBy{298, true, "a held journal kept the truncation that the write-behind waited for"},
        FoundBy{2255, true, "a checkpoint was made after a sync had failed"},
        FoundBy{2682, true, "a segment about to be dropped was written behind without its file"},
        FoundBy{284, false,
                "a segment was compacted that the checkpoint held as it was before a cut", true},
        FoundBy{8900055, false, "a segment's file went before the one behind it had begun", true},
        FoundBy{8700143, false, "a reader that came after a truncation joined one from before"},
        FoundBy{7300043, false, "likewise, in a log that is compacted", true},
        FoundBy{1463, false,
                "producers kept by a trim were voided by a cut, and their batches gone", false,
                true},
        FoundBy{3140, false, "a log that is set aside was asked for its producers", false, true}));

// Goal: the checks bite. Method: break one promise of the disk; some seed must notice.
class FlawTest : public ::testing::TestWithParam<FlawedDisk::Flaw> {};

TEST_P(FlawTest, IsNoticed) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    if (run(seed, {.cycles = 10, .flaw = GetParam()}).has_value()) return;
  }
  FAIL() << "200 runs on a flawed disk and nothing was wrong";
}

INSTANTIATE_TEST_SUITE_P(Flaws, FlawTest,
                         ::testing::Values(FlawedDisk::Flaw::kWritesNotDurable,
                                           FlawedDisk::Flaw::kSyncAllSkipped,
                                           FlawedDisk::Flaw::kChunksLost,
                                           FlawedDisk::Flaw::kRenameBeforeContent));

// Goal: the checks of compaction bite too. Method: new segments are put in place without a sync.
TEST(CrashTest, CompactedSegmentsThatAreNotSyncedAreNoticed) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const CrashRunOptions options{
        .cycles = 10, .compaction = true, .flaw = FlawedDisk::Flaw::kSegmentsNotSynced};
    if (run(seed, options).has_value()) return;
  }
  FAIL() << "200 runs on a flawed disk and nothing was wrong";
}

}  // namespace
}  // namespace millrace::storage
