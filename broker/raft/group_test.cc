// Scripts of broker/raft/testdata, and what a quiet group costs.
#include "broker/raft/group.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "broker/raft/testing/session.h"
#include "broker/raft/testing/text.h"
#include "common/testing/script.h"

namespace millrace::raft {
namespace {

class Scripts : public testing::TestWithParam<const char*> {};

TEST_P(Scripts, DoesAsWritten) {
  Session session;
  common::run_script(fmt::format("testdata/{}.txt", GetParam()),
                     [&](const common::ScriptCommand& command) { return session.run(command); });
}

INSTANTIATE_TEST_SUITE_P(Raft, Scripts,
                         testing::Values("append", "elections", "fork", "handover_of_disks",
                                         "in_sync", "install", "late_loss", "lease", "lost",
                                         "odd_messages", "old_configs", "prevote", "reconfigure",
                                         "recover", "term_starts", "transfer"),
                         [](const auto& one) { return std::string(one.param); });

// Goal: ten thousand groups on a broker cost little while nothing happens. Method: a leader and a
// follower of three, after a write, quiet: no deadline, and so many bytes.
TEST(QuietGroup, HasNoDeadlineAndIsSmall) {
  const Settings settings;
  common::Random random(1);
  HardState first;
  first.config.id.version = 1;
  for (int i = 1; i <= 3; ++i) first.config.voters.push_back(replica_id(i));
  std::map<int, std::unique_ptr<Shell>> replicas;
  for (int i = 1; i <= 3; ++i) {
    replicas[i] = std::make_unique<Shell>(replica_id(i), GroupSettings{}, settings, random);
    replicas[i]->format(first, {});
    replicas[i]->boot(Instant{}, false);
  }
  Instant now{};
  replicas[1]->campaign(now);
  bool proposed = false;
  for (int round = 0; round < 100; ++round) {
    now += std::chrono::milliseconds(1);
    for (auto& [index, replica] : replicas) {
      replica->sync_hard(now);
      replica->sync_log(100, now);
      replica->answer_fetch(100, now);
      if (replica->group().next_deadline() <= now) replica->tick(now);
      for (Letter& letter : replica->output().letters)
        replicas[letter.message.to.node.value()]->step(letter, now);
      replica->output().clear();
    }
    if (!proposed && replicas[1]->group().confirmed()) proposed = replicas[1]->propose(10, now);
  }
  for (auto& [index, replica] : replicas) {
    EXPECT_EQ(replica->group().commit(), Offset{10});
    EXPECT_TRUE(replica->group().quiet()) << index;
  }
  EXPECT_LE(replicas[1]->group().memory_bytes(), 1950U);
  EXPECT_LE(replicas[2]->group().memory_bytes(), 800U);
}

}  // namespace
}  // namespace millrace::raft
