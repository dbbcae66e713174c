// What groups keep over crashes, reloads, rewrites and refusals of their log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <map>

#include "broker/model/record.h"
#include "broker/service/configs.h"
#include "broker/service/group_coordinators.h"
#include "broker/service/group_routing.h"
#include "broker/service/testing/group_clients.h"

namespace millrace::service {
namespace {

using coordinator::GroupState;
using coordinator::JoinOutcome;
using coordinator::OffsetCommitOutcome;
using model::ErrorCode;
using model::Offset;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using testing::GroupClients;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Node;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::uint32_t kShards = 2;

class GroupsCrashTest : public ::testing::Test {
 protected:
  explicit GroupsCrashTest(std::uint64_t seed = 1)
      : node_({.shards = kShards, .config = {{"offsets.topic.num.partitions", "4"}}, .seed = seed}),
        clients_(node_) {
    node_.start();
    node_.create_topic("orders", 4);
  }

  GroupPlace place(const std::string& group) { return group_place(node_.shard(), group).value(); }
  GroupCoordinator& coordinator_of(const std::string& group) {
    return *place(group).owner->coordinators().find(place(group).index);
  }
  replica::Partition& partition_of(const std::string& group) {
    const auto topic = node_.shard().image().topic(kOffsetsTopic);
    return *place(group).owner->partition({topic->id, place(group).index});
  }
  /// A record of anybody's making in the partition of a group.
  void append_foreign(const std::string& group, const common::Bytes& key,
                      const common::Bytes& value) {
    model::BatchBuilder batch;
    batch.append({.timestamp = node_.world.clock().wall(),
                  .key = key.view(),
                  .value = value.view(),
                  .headers = {}});
    const auto outcome = node_.wait<replica::AppendOutcome>([&](auto reply) {
      partition_of(group).append(batch.build(), {.origin = replica::Origin::kBroker},
                                 std::move(reply));
    });
    ASSERT_FALSE(outcome.error.has_value());
  }
  std::uint64_t rewrites() {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < kShards; ++i)
      sum += node_.shard(i).coordinators().counters().rewrites;
    return sum;
  }

  void set_topic_config(const std::string& name, const std::string& value) {
    std::vector<ConfigCommand> commands;
    commands.push_back(
        {.type = ResourceType::kTopic,
         .resource = std::string(kOffsetsTopic),
         .changes = {{.name = name, .operation = ConfigChange::Operation::kSet, .value = value}}});
    const auto outcomes = node_.wait<std::vector<ConfigOutcome>>([&](auto reply) {
      alter_configs(node_.shard(), std::move(commands), AlterStyle::kIncremental, false,
                    std::move(reply));
    });
    ASSERT_EQ(outcomes.front().code, ErrorCode::kNone) << outcomes.front().detail;
  }
  /// Compacts what is due; answers how many records that removed.
  std::uint64_t compact_all() {
    std::uint64_t removed = 0;
    for (std::uint32_t i = 0; i < kShards; ++i) node_.shard(i).store().compact();
    node_.world.run_for(seconds(60));
    for (std::uint32_t i = 0; i < kShards; ++i)
      removed += node_.shard(i).store().stats().compaction.records_removed;
    return removed;
  }

  std::uint64_t removed_ = 0;
  Node node_;
  GroupClients clients_;
};

TEST_F(GroupsCrashTest, MembersAndOffsetsComeBack) {
  const auto members = clients_.join_all("app", "orders", 4, 2);
  for (std::int32_t p = 0; p < 4; ++p)
    ASSERT_TRUE(
        clients_.commit(GroupClients::simple_commit("solo", "orders", p, 100 + p)).status.ok());
  for (const bool clean : {false, true}) {
    if (clean) {
      node_.stop();
    } else {
      node_.crash();
    }
    node_.start();
    clients_.wait_until_loaded("app");
    EXPECT_EQ(clients_.describe("app").summary.state, GroupState::kStable);
    for (const auto& member : members)
      EXPECT_TRUE(clients_.heartbeat("app", member).ok()) << "nobody has to join again";
    for (std::int32_t p = 0; p < 4; ++p)
      EXPECT_EQ(clients_.committed("solo", "orders", p), 100 + p);
  }
}

TEST_F(GroupsCrashTest, RequestsDuringTheLoadAreToldSo) {
  ASSERT_TRUE(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 5)).status.ok());
  node_.crash();
  node_.start();
  // The same again, but asked before the loop has run once: Node::start() itself runs it, so the
  // machine is thrown away by a new leadership.
  Shard& owner = *place("app").owner;
  replica::Partition& partition = partition_of("app");
  const auto index = place("app").index;
  owner.coordinators().resign(index, ErrorCode::kNotCoordinator);
  std::optional<ErrorCode> resigned;
  commit_offsets(owner, GroupClients::simple_commit("app", "orders", 0, 6),
                 [&](const OffsetCommitOutcome& outcome) { resigned = outcome.status.code; });
  EXPECT_EQ(resigned, ErrorCode::kNotCoordinator);
  owner.coordinators().lead(partition);
  std::optional<ErrorCode> early;
  commit_offsets(owner, GroupClients::simple_commit("app", "orders", 0, 6),
                 [&](const OffsetCommitOutcome& outcome) { early = outcome.status.code; });
  EXPECT_EQ(early, ErrorCode::kCoordinatorLoadInProgress);
  EXPECT_EQ(clients_.committed("app", "orders", 0), 5);
  EXPECT_TRUE(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 6)).status.ok());
}

TEST_F(GroupsCrashTest, WhoLosesThePartitionAnswersAll) {
  clients_.join_all("app", "orders", 4, 1);
  std::optional<JoinOutcome> joined;
  clients_.join("app", "orders", 0, [&](JoinOutcome outcome) { joined = std::move(outcome); });
  node_.world.run_for(milliseconds(100));
  ASSERT_FALSE(joined.has_value());
  std::optional<ErrorCode> committed;
  Shard& owner = *place("app").owner;
  coordinator::OffsetCommit commit = GroupClients::simple_commit("app-2", "orders", 0, 5);
  commit.group = "app";  // refused: the group has members, the commit none
  commit_offsets(owner, commit,
                 [&](const OffsetCommitOutcome& outcome) { committed = outcome.status.code; });
  owner.coordinators().resign(place("app").index, ErrorCode::kNotCoordinator);
  node_.world.run_for(milliseconds(10));
  ASSERT_TRUE(joined.has_value());
  EXPECT_EQ(joined->status.code, ErrorCode::kNotCoordinator);
  EXPECT_TRUE(committed.has_value());
  EXPECT_EQ(clients_.heartbeat("app", {.id = "x", .generation = {}, .partitions = {}}).code,
            ErrorCode::kNotCoordinator);
}

// Goal: the log of groups stays short without any compaction, and nothing is lost by that. Method:
// commit until it was rewritten several times; look at where it begins and what a reload finds.
TEST_F(GroupsCrashTest, TheLogIsCutDownToItsState) {
  const auto members = clients_.join_all("app", "orders", 4, 2);
  const std::string metadata(2000, 'm');
  std::int64_t last = 0;
  for (int i = 0; i < 2500; ++i) {
    auto request = GroupClients::simple_commit("app", "orders", i % 4, i);
    request.member = members[0].id;
    request.epoch = members[0].generation;
    request.partitions[0].metadata = metadata;
    ASSERT_TRUE(clients_.commit(request).status.ok());
    last = i;
    if (i % 100 == 0) {
      for (const auto& member : members) ASSERT_TRUE(clients_.heartbeat("app", member).ok());
    }
  }
  node_.world.run_for(seconds(1));
  EXPECT_GE(rewrites(), 2U);
  const auto bounds = partition_of("app").bounds();
  EXPECT_GT(bounds.log_start, Offset{500});
  EXPECT_LT(bounds.log_end - bounds.log_start, 1500);
  node_.crash();
  node_.start();
  for (std::int32_t p = 0; p < 4; ++p) {
    EXPECT_EQ(clients_.committed("app", "orders", static_cast<std::int32_t>((last - p) % 4)),
              last - p);
  }
  for (const auto& member : members) EXPECT_TRUE(clients_.heartbeat("app", member).ok());
}

// Goal: what compaction of __consumer_offsets removes is not missed, and what a tombstone took away
// does not come back. Method: segments of a second, compacted while groups commit, go and come
// again; after each crash the groups are compared with a map.
TEST_F(GroupsCrashTest, CompactionLeavesTheStateAsItIs) {
  ASSERT_TRUE(clients_.find("g").ok());
  set_topic_config("segment.ms", "1000");
  set_topic_config("min.cleanable.dirty.ratio", "0");
  set_topic_config("delete.retention.ms", "0");
  common::Random random(3);
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> model;
  for (std::int64_t i = 0; i < 400; ++i) {
    const std::string group = fmt::format("g{}", random.below(6));
    if (random.chance(1, 15)) {
      node_.wait<std::vector<coordinator::Status>>(
          [&](auto reply) { delete_groups(node_.shard(), {group}, std::move(reply)); });
      std::erase_if(model, [&](const auto& entry) { return entry.first.first == group; });
    } else {
      const auto partition = static_cast<std::int32_t>(random.below(4));
      ASSERT_TRUE(
          clients_.commit(GroupClients::simple_commit(group, "orders", partition, i)).status.ok());
      model[{group, partition}] = i;
    }
    node_.world.run_for(milliseconds(random.below(600)));
    if (i % 40 != 39) continue;
    removed_ += compact_all();
    node_.crash();
    node_.start();
    for (int g = 0; g < 6; ++g) {
      for (std::int32_t partition = 0; partition < 4; ++partition) {
        const auto place = std::make_pair(fmt::format("g{}", g), partition);
        const auto found = model.find(place);
        EXPECT_EQ(clients_.committed(place.first, "orders", partition),
                  found == model.end() ? -1 : found->second)
            << place.first << "/" << partition << " after " << i;
      }
    }
  }
  EXPECT_GT(removed_, 100U) << "else nothing was tried";
  EXPECT_EQ(rewrites(), 0U);
}

// ---- A log that refuses

// Goal: a full disk refuses commits, keeps those before, and heals. Method: no free space; commits
// until what is reserved already is used up.
TEST_F(GroupsCrashTest, AFullDiskRefusesCommitsAndHeals) {
  std::int64_t last = 0;
  const auto commit = [&] {
    auto request = GroupClients::simple_commit("app", "orders", 0, last + 1);
    request.partitions[0].metadata = std::string(4000, 'm');
    return clients_.commit(request).status.code;
  };
  ASSERT_EQ(commit(), ErrorCode::kNone);
  node_.hardware.set_capacity(0);
  ErrorCode code = ErrorCode::kNone;
  for (int i = 0; i < 5000 && code == ErrorCode::kNone; ++i) {
    ++last;
    code = commit();
  }
  EXPECT_EQ(code, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(clients_.committed("app", "orders", 0), last) << "what was refused did not happen";
  node_.hardware.set_capacity(std::uint64_t{1} << 40);
  for (int i = 0; i < 100 && code != ErrorCode::kNone; ++i) {
    node_.world.run_for(seconds(1));
    code = commit();
  }
  EXPECT_EQ(code, ErrorCode::kNone);
  EXPECT_EQ(clients_.committed("app", "orders", 0), last + 1);
}

TEST_F(GroupsCrashTest, ALogThatClosesRefusesCommits) {
  ASSERT_TRUE(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 5)).status.ok());
  // The broker's log is told to be closing: every append is refused from here on.
  place("app").owner->store().close([](common::Result<void>) {});
  EXPECT_EQ(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 6)).status.code,
            ErrorCode::kNotCoordinator);
  EXPECT_EQ(clients_.committed("app", "orders", 0), 5) << "what was refused did not happen";
}

// Goal: an append that is refused after the machine went on throws away what the machine stands on.
// Method: the log refuses between the commit and the end of the loop's turn.
TEST_F(GroupsCrashTest, ALateRefusalReloads) {
  ASSERT_TRUE(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 5)).status.ok());
  std::optional<ErrorCode> outcome;
  Shard& owner = *place("app").owner;
  commit_offsets(owner, GroupClients::simple_commit("app", "orders", 0, 6),
                 [&](const OffsetCommitOutcome& answer) { outcome = answer.status.code; });
  EXPECT_FALSE(outcome.has_value());
  owner.store().close([](common::Result<void>) {});
  ASSERT_TRUE(node_.world.run_until([&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(clients_.committed("app", "orders", 0), 5);
  EXPECT_THAT(node_.notes, Contains(HasSubstr("event=group-coordinator-reloads")));
}

// ---- A log with strange records

TEST_F(GroupsCrashTest, ARecordThatIsNoneIsNamedAndLeftOut) {
  ASSERT_TRUE(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 5)).status.ok());
  append_foreign("app", common::Bytes::copy_of("\x01"), common::Bytes::copy_of("garbage"));
  ASSERT_TRUE(clients_.commit(GroupClients::simple_commit("app", "orders", 1, 6)).status.ok());
  node_.crash();
  node_.start();
  EXPECT_EQ(clients_.committed("app", "orders", 0), 5);
  EXPECT_EQ(clients_.committed("app", "orders", 1), 6);
  EXPECT_THAT(node_.notes, Contains(HasSubstr("event=group-record-skipped")));
  EXPECT_EQ(place("app").owner->coordinators().counters().records_skipped, 1U);
}

TEST_F(GroupsCrashTest, ARecordOfANewerBrokerStopsThePartition) {
  ASSERT_TRUE(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 5)).status.ok());
  // An offset (key version 1) with a value version that does not exist yet.
  const coordinator::Record record = coordinator::OffsetRecord{
      .group = "app", .topic = "orders", .partition = 0, .value = coordinator::CommittedOffset{}};
  const coordinator::EncodedRecords one({&record, 1});
  common::Bytes value = common::Bytes::copy_of(*one.value(0));
  value.mutable_data()[0] = 0x7F;
  append_foreign("app", common::Bytes::copy_of(one.key(0)), value);
  node_.crash();
  node_.start();
  clients_.wait_until_loaded("app");
  EXPECT_EQ(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 9)).status.code,
            ErrorCode::kCoordinatorNotAvailable);
  EXPECT_THAT(node_.notes, Contains(HasSubstr("event=group-load-failed")));
  EXPECT_THAT(clients_.list(), IsEmpty()) << "other partitions are listed all the same";

  // What cannot be read goes, as it does where a disk failed only once (simulator seed 6001225).
  const auto trimmed = node_.wait<common::Result<void>>([&](auto reply) {
    replica::Partition& partition = partition_of("app");
    partition.trim(partition.bounds().high_watermark, std::move(reply));
  });
  ASSERT_TRUE(trimmed.ok());
  node_.world.run_for(seconds(60));
  EXPECT_TRUE(clients_.commit(GroupClients::simple_commit("app", "orders", 0, 9)).status.ok());
  EXPECT_EQ(std::ranges::count_if(node_.notes,
                                  [](const std::string& note) {
                                    return note.find("event=group-load-failed") != note.npos;
                                  }),
            1)
      << "said once, however often it was tried";
}

TEST(GroupLog, ADamagedBatchIsNeverLeftOut) {
  const coordinator::Record record = coordinator::OffsetRecord{
      .group = "app", .topic = "orders", .partition = 0, .value = coordinator::CommittedOffset{}};
  const common::Bytes good = coordinator::to_batch({&record, 1}, common::Timestamp{1});
  {
    coordinator::Machine machine{coordinator::Settings{}};
    GroupLogReport report;
    EXPECT_TRUE(replay_group_log(good, Offset{0}, machine, report).ok());
    EXPECT_EQ(report.records, 1U);
    EXPECT_EQ(report.bytes, good.size());
  }
  for (std::size_t i = model::kBatchCrcStart; i < good.size(); ++i) {
    common::Bytes bad = common::Bytes::copy_of(good.view());
    bad.mutable_data()[i] ^= 0x10;
    coordinator::Machine machine{coordinator::Settings{}};
    GroupLogReport report;
    EXPECT_FALSE(replay_group_log(bad, Offset{0}, machine, report).ok()) << i;
  }
}

// ---- Crashes at any time

struct Acked {
  std::int64_t sent = -1;   // the newest that was asked for
  std::int64_t acked = -1;  // the newest that was answered
};

class GroupsAnyCrash : public ::testing::TestWithParam<std::uint64_t> {};

// Goal: E40: what was committed and answered is there after every crash, and what is read back was
// asked for; no offset goes back by itself. Method: groups commit growing offsets, several at once;
// the power goes at a random event; after each start every group is read and goes on.
TEST_P(GroupsAnyCrash, CommittedOffsetsNeverGoBack) {
  Node node(
      {.shards = kShards, .config = {{"offsets.topic.num.partitions", "3"}}, .seed = GetParam()});
  GroupClients clients(node);
  node.start();
  node.create_topic("orders", 4);
  ASSERT_TRUE(clients.find("g").ok());
  common::Random random(GetParam());
  std::map<std::pair<std::string, std::int32_t>, Acked> state;
  bool answered = false;
  const std::string padding(1000, 'p');
  for (int round = 0; round < 12; ++round) {
    const std::uint64_t commits = random.between(1, 60);
    for (std::uint64_t i = 0; i < commits; ++i) {
      const std::uint64_t who = random.below(5);
      const std::string group = fmt::format("g{}", who);
      const auto partition = static_cast<std::int32_t>(random.below(4));
      Acked& place = state[{group, partition}];
      auto request = GroupClients::simple_commit(group, "orders", partition, ++place.sent);
      request.partitions[0].metadata = padding;
      // Each has one connection: only what comes over one keeps its order.
      commit_offsets(node.shard(who % kShards), std::move(request),
                     [&, offset = place.sent](const OffsetCommitOutcome& outcome) {
                       if (!outcome.status.ok() || outcome.partitions[0] != ErrorCode::kNone)
                         return;
                       place.acked = std::max(place.acked, offset);
                       answered = true;
                     });
      for (std::uint64_t e = random.below(6); e > 0; --e) node.world.step();
    }
    // At any time, or right after an answer: then a promise that was given too early shows.
    answered = false;
    const bool after_answer = random.chance(1, 2);
    for (std::uint64_t e = random.below(400); e > 0 && !(after_answer && answered); --e)
      node.world.step();
    if (random.chance(1, 4)) {
      node.stop();
    } else {
      node.crash();
    }
    node.start();
    for (auto& [name, place] : state) {
      const std::int64_t found = clients.committed(name.first, "orders", name.second);
      EXPECT_GE(found, place.acked) << name.first << "/" << name.second << " round " << round;
      EXPECT_LE(found, place.sent) << name.first << "/" << name.second << " round " << round;
      // Read once, it may not go back either.
      place.acked = std::max(place.acked, found);
      place.sent = std::max(place.sent, place.acked);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, GroupsAnyCrash, ::testing::Range<std::uint64_t>(1, 25));

}  // namespace
}  // namespace millrace::service
