// Goal: the checks of the property test bite. Method: a build of the library with known bugs to be
// switched on (mutation.h); each must be found, by a check of the simulator or a CHECK of the core,
// within so many seeds; and without any, none is.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "broker/raft/mutation.h"
#include "broker/raft/testing/simulator.h"

namespace millrace::raft {
namespace {

struct Bug {
  Mutation mutation;
  const char* name;
  std::uint64_t seeds_max;
};

// About four times what each took when this was written, and at least 2,000.
constexpr Bug kBugs[] = {
    {Mutation::kSkipHardStateSync, "kSkipHardStateSync", 20000},
    {Mutation::kVoteTwice, "kVoteTwice", 2000},
    {Mutation::kVoteForShorterLog, "kVoteForShorterLog", 2000},
    {Mutation::kVoteForOlderConfig, "kVoteForOlderConfig", 50000},
    {Mutation::kCommitOldTerms, "kCommitOldTerms", 2000},
    {Mutation::kAckBeforeDurable, "kAckBeforeDurable", 2000},
    {Mutation::kCountOwnUnsynced, "kCountOwnUnsynced", 2000},
    {Mutation::kAckUnverified, "kAckUnverified", 2000},
    {Mutation::kForgetTermStart, "kForgetTermStart", 2000},
    {Mutation::kTruncateOnRepeat, "kTruncateOnRepeat", 2000},
    {Mutation::kCommitUnverified, "kCommitUnverified", 85000},
    {Mutation::kHighWatermarkFalls, "kHighWatermarkFalls", 2000},
    {Mutation::kServeUnconfirmed, "kServeUnconfirmed", 2000},
    {Mutation::kAcceptOldLeader, "kAcceptOldLeader", 20000},
    {Mutation::kIgnoreDirectory, "kIgnoreDirectory", 2000},
    {Mutation::kCountLearners, "kCountLearners", 2000},
    {Mutation::kChangeTwoVoters, "kChangeTwoVoters", 2000},
    {Mutation::kSkipConfigKnown, "kSkipConfigKnown", 2000},
    {Mutation::kSkipConfigCommitted, "kSkipConfigCommitted", 60000},
    {Mutation::kUncleanVotes, "kUncleanVotes", 2000},
    {Mutation::kIgnoreIncarnation, "kIgnoreIncarnation", 2000},
    {Mutation::kReadmitEarly, "kReadmitEarly", 22000},
    {Mutation::kInsyncIgnored, "kInsyncIgnored", 2000},
    {Mutation::kServeWithoutLease, "kServeWithoutLease", 2000},
    {Mutation::kVoteDespitePromise, "kVoteDespitePromise", 2500},
    {Mutation::kVoteAfterRestart, "kVoteAfterRestart", 6000},
    {Mutation::kTrustAnyWord, "kTrustAnyWord", 6500},
    {Mutation::kLeaseInTransfer, "kLeaseInTransfer", 12000},
};
static_assert(std::size(kBugs) + 1 == static_cast<std::size_t>(Mutation::kCount));

/// Runs seeds in a process of its own, as a CHECK may end it. What it found; empty: nothing.
std::string hunt(Mutation mutation, std::uint64_t seeds) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    active_mutation() = mutation;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      fmt::print(stderr, "seed {}\n", seed);
      const Verdict verdict = Simulator({.seed = seed, .trace = false}).run();
      if (verdict.failure.empty()) continue;
      fmt::print(stderr, "found {}\n", verdict.failure);
      _exit(1);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string tail;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    tail.append(buffer, static_cast<std::size_t>(got));
    if (tail.size() > 8192) tail.erase(0, tail.size() - 4096);
  }
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return tail.substr(tail.rfind("seed ", tail.rfind("seed ") == 0 ? 0 : tail.size()));
}

class Mutations : public testing::TestWithParam<Bug> {};

TEST_P(Mutations, IsFound) {
  const char* more = std::getenv("RAFT_SEEDS");
  const std::uint64_t seeds = more == nullptr ? GetParam().seeds_max : std::stoull(more);
  const std::string found = hunt(GetParam().mutation, seeds);
  EXPECT_FALSE(found.empty()) << GetParam().name << " was not found in " << seeds << " seeds";
  fmt::print("{}: {}", GetParam().name, found.empty() ? "not found\n" : found);
}

INSTANTIATE_TEST_SUITE_P(Raft, Mutations, testing::ValuesIn(kBugs),
                         [](const auto& one) { return std::string(one.param.name); });

// Otherwise nothing above would mean anything.
TEST(NoMutation, IsNotFound) {
  EXPECT_EQ(hunt(Mutation::kNone, 500), "");
}

}  // namespace
}  // namespace millrace::raft
