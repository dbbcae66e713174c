// Goal: whatever happens to brokers, links and disks, what was acknowledged stays where it was,
// once; offsets are dense; replicas have the same bytes and know the same producers; readers never
// see what is taken back; and when the faults end everything works again. Method: random runs, each
// from a seed (testing/random_run.h). REPLICA_SEEDS sets how many, REPLICA_SEED the first;
// REPLICA_TRACE prints what happens.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "broker/replica/testing/random_run.h"

namespace millrace::replica {
namespace {

using testing::RandomRun;
using testing::RunOptions;
using testing::RunStats;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
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

RunStats run_many(model::FlushMode flush, std::uint64_t otherwise) {
  std::signal(SIGABRT, print_seed);
  const bool one =
      std::getenv("REPLICA_SEED") != nullptr && std::getenv("REPLICA_SEEDS") == nullptr;
  const std::uint64_t first = number_from("REPLICA_SEED", 1);
  const std::uint64_t count = one ? 1 : number_from("REPLICA_SEEDS", otherwise);
  RunStats total;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    current_seed = seed;
    RandomRun run({.seed = seed, .flush = flush, .trace = std::getenv("REPLICA_TRACE") != nullptr});
    const std::string wrong = run.go();
    EXPECT_EQ(wrong, "") << "seed " << seed;
    if (!wrong.empty()) break;
    total.acknowledged += run.stats().acknowledged;
    total.crashes += run.stats().crashes;
    total.terms += run.stats().terms;
    total.leaders_looked_at += run.stats().leaders_looked_at;
    total.unclean_elections += run.stats().unclean_elections;
  }
  fmt::print(
      "{} runs: {} batches acknowledged, {} ends of processes, {} terms, {} leaders looked at, {} "
      "unclean\n",
      count, total.acknowledged, total.crashes, total.terms, total.leaders_looked_at,
      total.unclean_elections);
  return total;
}

TEST(ReplicaProperty, WhatWasAcknowledgedStays) {
  const RunStats total = run_many(model::FlushMode::kStrict, 70);
  if (std::getenv("REPLICA_SEED") != nullptr) return;
  // The runs must be worth something.
  EXPECT_GT(total.acknowledged, 10'000u);
  EXPECT_GT(total.crashes, 500u);
  EXPECT_GT(total.terms, 250u);
  EXPECT_GT(total.leaders_looked_at, 100u);
  EXPECT_EQ(total.unclean_elections, 0u) << "nobody can have lost anything";
}

// With relaxed flush something may be lost, when a majority may have lost it, and never without a
// word; and replicas never part.
TEST(ReplicaProperty, RelaxedReplicasNeverPart) {
  const RunStats total = run_many(model::FlushMode::kRelaxed, 50);
  if (std::getenv("REPLICA_SEED") != nullptr) return;
  EXPECT_GT(total.unclean_elections, 0u);
}

TEST(ReplicaProperty, ASeedIsARun) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    RandomRun one({.seed = seed});
    RandomRun two({.seed = seed});
    EXPECT_EQ(one.go(), two.go());
    EXPECT_EQ(one.digest(), two.digest()) << seed;
  }
}

}  // namespace
}  // namespace millrace::replica
