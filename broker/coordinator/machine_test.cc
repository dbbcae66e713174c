// Goal: every transition of the classic group, and what commits, reads and deletion of offsets are
// answered. Method: scripts, each line of which is one input; see testing/session.h. What a script
// cannot see (which records make one batch, what a shell may not do) is below.
#include "broker/coordinator/machine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "broker/coordinator/testing/session.h"

namespace millrace::coordinator {
namespace {

class Scripts : public testing::TestWithParam<const char*> {};

TEST_P(Scripts, AnswerAsWritten) {
  Session session;
  common::run_script(std::string("testdata/") + GetParam() + ".txt",
                     [&](const common::ScriptCommand& command) { return session.run(command); });
}

INSTANTIATE_TEST_SUITE_P(Machine, Scripts,
                         testing::Values("classic_join", "classic_sync", "classic_sessions",
                                         "classic_static", "classic_leave", "classic_refused",
                                         "classic_restart", "offsets", "offsets_expiry", "admin"),
                         [](const auto& test) { return std::string(test.param); });

constexpr Now kNow{.instant = common::Instant{std::chrono::hours(1)},
                   .wall = common::Timestamp{1'700'000'000'000}};

Now later(std::chrono::milliseconds step) {
  return {.instant = kNow.instant + step, .wall = kNow.wall + step.count()};
}

OffsetCommit commit_of(const std::string& group, std::int32_t first, std::int32_t count) {
  OffsetCommit request{.group = group};
  for (std::int32_t partition = first; partition < first + count; ++partition) {
    request.partitions.push_back(
        {.topic = {.name = "t"}, .partition = partition, .offset = model::Offset{7}});
  }
  return request;
}

std::shared_ptr<const Topics> topics_of(const std::vector<std::string>& names) {
  auto topics = std::make_shared<Topics>();
  for (const std::string& name : names) {
    const model::TopicId id = Harness::topic_id(name);
    topics->by_name.emplace(name, Topic{.id = id, .name = name, .partitions = 1});
    topics->names.emplace(id, name);
  }
  return topics;
}

/// A machine with the topic t, and a log that takes everything.
class MachineTest : public testing::Test {
 protected:
  MachineTest() {
    machine_.loaded(kNow);
    machine_.topics_changed(topics_of({"t"}), kNow);
    EXPECT_FALSE(machine_.take_effects().has_value());
  }
  /// Sizes of the batches that were appended.
  std::vector<std::size_t> append_all(Now now = kNow) {
    std::vector<std::size_t> sizes;
    while (const auto effects = machine_.take_effects()) {
      if (effects->records.empty()) continue;
      sizes.push_back(effects->records.size());
      machine_.appended(*effects, now);
    }
    return sizes;
  }
  Machine machine_{Settings{}};
};

TEST_F(MachineTest, CommitsInARowMakeOneBatch) {
  machine_.commit(Ticket{1}, commit_of("g", 0, 2), kNow);
  machine_.commit(Ticket{2}, commit_of("h", 0, 1), kNow);
  OffsetCommit stale = commit_of("g", 0, 1);
  stale.epoch = Epoch{3};
  machine_.commit(Ticket{3}, stale, kNow);
  const auto effects = machine_.take_effects();
  ASSERT_TRUE(effects.has_value());
  EXPECT_EQ(effects->records.size(), 3U);
  EXPECT_EQ(effects->answers.size(), 3U);
  EXPECT_EQ(effects->after, effects->batch);
  machine_.appended(*effects, kNow);
  EXPECT_FALSE(machine_.take_effects().has_value());
  EXPECT_EQ(machine_.list().size(), 2U);
}

TEST_F(MachineTest, ARefusedBatchFailsAllThatWouldHaveSucceeded) {
  machine_.commit(Ticket{1}, commit_of("g", 0, 1), kNow);
  OffsetCommit stale = commit_of("g", 0, 1);
  stale.epoch = Epoch{3};
  machine_.commit(Ticket{2}, stale, kNow);
  machine_.refused(*machine_.take_effects(), ErrorCode::kNoSpace, kNow);
  const auto effects = machine_.take_effects();
  ASSERT_TRUE(effects.has_value());
  EXPECT_EQ(effects->after, 0U);
  ASSERT_EQ(effects->answers.size(), 2U);
  const auto code = [&](std::size_t i) {
    return std::get<OffsetCommitOutcome>(effects->answers[i].second).status.code;
  };
  EXPECT_EQ(code(0), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(code(1), ErrorCode::kGroupIdNotFound);
  EXPECT_TRUE(machine_.list().empty());
}

TEST_F(MachineTest, AnswersNameTheBatchThatTheyTellOf) {
  machine_.commit(Ticket{1}, commit_of("g", 0, 1), kNow);
  const auto committed = machine_.take_effects();
  machine_.appended(*committed, kNow);
  EXPECT_EQ(machine_.fetch_offsets({.group = "g"}).after, committed->batch);
  EXPECT_EQ(machine_.fetch_offsets({.group = "h"}).after, 0U);
  machine_.delete_group(Ticket{2}, "h", kNow);
  EXPECT_EQ(machine_.take_effects()->after, 0U);
  machine_.delete_offsets(Ticket{3}, {.group = "g"}, kNow);
  EXPECT_EQ(machine_.take_effects()->after, committed->batch);
}

TEST_F(MachineTest, CloseAnswersWhatWasGatheredAndWhatWaits) {
  JoinGroup join{.group = "g",
                 .protocol_type = "connect",
                 .protocols = {{.name = "p"}},
                 .session_timeout_ms = 10'000,
                 .fresh_member = "m"};
  machine_.join(Ticket{1}, join, kNow);
  EXPECT_FALSE(machine_.take_effects().has_value());
  machine_.commit(Ticket{2}, commit_of("h", 0, 1), kNow);
  machine_.close(ErrorCode::kNotCoordinator);
  const auto effects = machine_.take_effects();
  ASSERT_TRUE(effects.has_value());
  EXPECT_TRUE(effects->records.empty());
  ASSERT_EQ(effects->answers.size(), 2U);
  EXPECT_EQ(std::get<OffsetCommitOutcome>(effects->answers[0].second).status.code,
            ErrorCode::kNotCoordinator);
  EXPECT_EQ(std::get<JoinOutcome>(effects->answers[1].second).status.code,
            ErrorCode::kNotCoordinator);
}

// A sweep must not make one batch of everything, nor keep requests waiting.
TEST_F(MachineTest, ASweepGoesInPieces) {
  constexpr int kGroups = 30;
  for (int group = 0; group < kGroups; ++group) {
    machine_.commit(Ticket{1}, commit_of(fmt::format("g{}", group), 0, 300), kNow);
  }
  append_all();
  const Now end = later(std::chrono::hours(24 * 8));
  std::size_t removed = 0;
  int ticks = 0;
  while (machine_.next_tick() <= end.instant && ticks < 100) {
    ++ticks;
    machine_.tick(end);
    for (const std::size_t size : append_all(end)) {
      EXPECT_LT(size, 1'300U);
      removed += size;
    }
  }
  EXPECT_EQ(removed, kGroups * 300U);
  EXPECT_GT(ticks, 5);
  EXPECT_TRUE(machine_.list().empty());
}

// A quiet topic: the newest commit is older than the retention when all members stop for a moment.
TEST_F(MachineTest, OffsetsOfAConsumerGroupGrowOldOnceItIsEmpty) {
  ConsumerHeartbeat request{.group = "g", .member = "m"};
  request.rebalance_timeout_ms = 60'000;
  request.topics = {"t"};
  request.owned.emplace();
  machine_.consumer_heartbeat(Ticket{1}, request, kNow);
  append_all();
  OffsetCommit commit = commit_of("g", 0, 1);
  commit.member = "m";
  commit.epoch = Epoch{1};
  machine_.commit(Ticket{2}, commit, kNow);
  append_all();
  const Now left = later(std::chrono::hours(24 * 8));
  machine_.consumer_heartbeat(Ticket{3}, {.group = "g", .member = "m", .epoch = Epoch{-1}}, left);
  append_all(left);
  machine_.tick(left);
  append_all(left);
  const auto has_offset = [](const Machine& machine) {
    return !machine.fetch_offsets({.group = "g"}).value.partitions.empty();
  };
  EXPECT_TRUE(has_offset(machine_));

  Machine loaded{Settings{}};
  for (const Record& record : machine_.snapshot()) loaded.load(record);
  loaded.loaded(left);
  loaded.topics_changed(topics_of({"t"}), left);
  loaded.tick(later(std::chrono::hours(24 * 9)));
  EXPECT_FALSE(loaded.take_effects().has_value());
  EXPECT_TRUE(has_offset(loaded)) << "a restart of the broker may fall into that moment";

  const Now over = later(std::chrono::hours(24 * 15));
  machine_.tick(over);
  append_all(over);
  EXPECT_FALSE(has_offset(machine_));
  EXPECT_TRUE(machine_.list().empty());
}

// The shard that took a commit may know of a topic made anew before the machine does.
TEST_F(MachineTest, WhatIsCommittedForATopicThatIsNewToTheMachineStays) {
  machine_.topics_changed(topics_of({"t", "u"}), kNow);
  OffsetCommit request = commit_of("g", 0, 1);
  request.partitions.front().topic.id = Harness::topic_id("t", /*incarnation=*/1);
  const Now committed = later(std::chrono::milliseconds(5));
  machine_.commit(Ticket{1}, request, committed);
  append_all(committed);
  const Now swept = later(std::chrono::minutes(20));
  machine_.tick(swept);
  append_all(swept);
  EXPECT_EQ(machine_.fetch_offsets({.group = "g"}).value.partitions.size(), 1U);
  // Told later, that the topic is the old one all the same: then the offset is of one that is gone.
  const Now told = later(std::chrono::minutes(21));
  machine_.topics_changed(topics_of({"t"}), told);
  append_all(told);
  EXPECT_TRUE(machine_.list().empty());
}

TEST_F(MachineTest, RecordsOfOtherBrokersCannotHarm) {
  Machine machine{Settings{}};
  ClassicGroupRecord::Value value{.protocol_type = "consumer", .generation = Epoch{-5}};
  value.leader = "nobody";
  for (const char* id : {"a", "a", "", "b"}) {
    value.members.push_back({.member = id,
                             .instance = "same",
                             .session_timeout_ms = -1,
                             .subscription = common::Bytes::copy_of("?")});
  }
  machine.load(ClassicGroupRecord{.group = "g", .value = value});
  machine.load(OffsetRecord{.group = "", .topic = "", .partition = -1, .value = CommittedOffset{}});
  machine.load(OffsetRecord{.group = "none", .topic = "t", .partition = 1, .value = std::nullopt});
  machine.load(ConsumerGroupRecord{.group = "g2", .value = std::nullopt});
  machine.loaded(kNow);
  machine.topics_changed(topics_of({}), kNow);
  EXPECT_EQ(machine.describe("g").members.size(), 1U);
  machine.tick(later(std::chrono::seconds(1)));
  const auto effects = machine.take_effects();
  ASSERT_TRUE(effects.has_value()) << "a session of no time is over";
  machine.appended(*effects, kNow);
  EXPECT_EQ(machine.describe("g").summary.state, GroupState::kEmpty);
}

using MachineDeathTest = MachineTest;

TEST_F(MachineDeathTest, EffectsMustBeDealtWith) {
  machine_.commit(Ticket{1}, commit_of("g", 0, 1), kNow);
  EXPECT_DEATH(machine_.tick(kNow), "were not taken");
  const auto effects = machine_.take_effects();
  EXPECT_DEATH(machine_.tick(kNow), "neither appended nor refused");
}

}  // namespace
}  // namespace millrace::coordinator
