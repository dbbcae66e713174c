// Groups on a whole broker in the simulated world: routing, the topic they live in, lists, lag.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/service/configs.h"
#include "broker/service/group_coordinators.h"
#include "broker/service/group_settings.h"
#include "broker/service/offsets_topic.h"
#include "broker/service/testing/group_clients.h"

namespace millrace::service {
namespace {

using coordinator::ConsumerHeartbeat;
using coordinator::ConsumerHeartbeatOutcome;
using coordinator::Epoch;
using coordinator::GroupState;
using coordinator::JoinOutcome;
using coordinator::Status;
using model::ErrorCode;
using model::Offset;
using model::PartitionIndex;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ClassicMember;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::GroupClients;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Node;
using testing::NodeOptions;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::uint32_t kShards = 2;
constexpr std::int32_t kPartitions = 4;

class GroupsTest : public ::testing::Test {
 protected:
  explicit GroupsTest(model::ConfigMap config = {})
      : node_({.shards = kShards, .config = std::move(config)}), clients_(node_) {
    node_.start();
    node_.create_topic("orders", kPartitions);
  }

  GroupCoordinator& coordinator_of(const std::string& group) {
    const auto topic = node_.shard().image().topic(kOffsetsTopic);
    const PartitionIndex index = coordinator_partition(group, topic->partition_count());
    return *node_.shard().owner({topic->id, index}).coordinators().find(index);
  }
  std::vector<Status> remove(const std::vector<std::string>& groups) {
    return node_.wait<std::vector<Status>>(
        [&](auto reply) { delete_groups(node_.shard(1), groups, std::move(reply)); });
  }
  ConsumerHeartbeatOutcome beat(ConsumerHeartbeat request) {
    request.client = {"test", "/10.0.0.1"};
    return node_.wait<ConsumerHeartbeatOutcome>([&](auto reply) {
      consumer_heartbeat(node_.shard(), std::move(request), std::move(reply));
    });
  }
  static ConsumerHeartbeat joining(const std::string& group, const std::string& topic) {
    ConsumerHeartbeat request;
    request.group = group;
    request.member = "member-of-" + group;
    request.rebalance_timeout_ms = 60'000;
    request.topics = {topic};
    request.owned.emplace();
    return request;
  }

  Node node_;
  GroupClients clients_;
};

// ---- Which coordinator

// Java's String.hashCode: figures of its documentation and of well-known examples.
TEST(CoordinatorPartition, IsKafkas) {
  EXPECT_EQ(coordinator_partition("hello", 50), PartitionIndex{99162322 % 50});
  EXPECT_EQ(coordinator_partition("Aa", 50), coordinator_partition("BB", 50));
  EXPECT_EQ(coordinator_partition("", 50), PartitionIndex{0});
  EXPECT_EQ(coordinator_partition("polygenelubricants", 50), PartitionIndex{0})
      << "the hash is -2^31, which has no absolute value";
  // Two UTF-16 units, D83D and DE00.
  EXPECT_EQ(coordinator_partition("\xF0\x9F\x98\x80", 1'000'000), PartitionIndex{772'899});
  EXPECT_EQ(coordinator_partition("\xC3\xA9", 1000), PartitionIndex{0xE9});
  // Malformed bytes read as U+FFFD, each for itself.
  EXPECT_EQ(coordinator_partition("\xFF", 100'000), PartitionIndex{0xFFFD});
  EXPECT_EQ(coordinator_partition("\xE2\x82", 100'000'000), PartitionIndex{31 * 0xFFFD + 0xFFFD});
}

// ---- The topic

// Goal: commits that come close together share appends, and each is answered once it is there.
TEST_F(GroupsTest, CommitsThatComeOftenShareAppends) {
  constexpr int kCommits = 500;
  clients_.commit(GroupClients::simple_commit("app", "orders", 0, 0));
  const auto appends = [&] {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < kShards; ++i)
      sum += node_.shard(i).coordinators().counters().appends;
    return sum;
  };
  const std::uint64_t before = appends();
  int answered = 0;
  for (int i = 1; i <= kCommits; ++i) {
    commit_offsets(node_.shard(), GroupClients::simple_commit("app", "orders", 0, i),
                   [&](const coordinator::OffsetCommitOutcome& outcome) {
                     EXPECT_TRUE(outcome.status.ok()) << outcome.status.detail;
                     ++answered;
                   });
    node_.world.run_for(std::chrono::microseconds(200));
  }
  node_.world.run_for(seconds(1));
  EXPECT_EQ(answered, kCommits);
  EXPECT_EQ(clients_.committed("app", "orders", 0), kCommits);
  EXPECT_LT(appends() - before, kCommits / 2);
}

TEST_F(GroupsTest, TheTopicIsMadeOnFirstNeedAndOnce) {
  EXPECT_EQ(node_.shard().image().topic(kOffsetsTopic), nullptr);
  std::vector<std::optional<Status>> found(20);
  for (std::size_t i = 0; i < found.size(); ++i) {
    find_coordinator(node_.shard(i % kShards), "g",
                     [&found, i](Status status) { found[i] = std::move(status); });
  }
  ASSERT_TRUE(node_.world.run_until(
      [&] { return std::ranges::all_of(found, [](const auto& s) { return s.has_value(); }); }));
  for (const auto& status : found) EXPECT_TRUE(status->ok()) << status->detail;
  const auto topic = node_.shard(1).image().topic(kOffsetsTopic);
  ASSERT_NE(topic, nullptr);
  EXPECT_EQ(topic->partition_count(), 50);
  EXPECT_THAT(topic->partitions.front(), SizeIs(1)) << "one broker, though the setting says three";
  EXPECT_EQ(topic->configs.at("cleanup.policy"), "compact");
  EXPECT_EQ(topic->configs.at("segment.bytes"), "104857600");
  EXPECT_EQ(topic->configs.at("compression.type"), "producer");
}

class GroupsTopicSettings : public GroupsTest {
 protected:
  GroupsTopicSettings()
      : GroupsTest({{"auto.create.topics.enable", "false"},
                    {"offsets.topic.num.partitions", "3"},
                    {"offsets.topic.segment.bytes", "1048576"},
                    {"offsets.topic.replication.factor", "1"}}) {}
};

TEST_F(GroupsTopicSettings, RuleTheTopicAndAutoCreationDoesNot) {
  EXPECT_TRUE(clients_.find("g").ok());
  const auto topic = node_.shard().image().topic(kOffsetsTopic);
  EXPECT_EQ(topic->partition_count(), 3);
  EXPECT_EQ(topic->configs.at("segment.bytes"), "1048576");
}

TEST_F(GroupsTest, ClientsCannotWriteDeleteOrGrowTheTopic) {
  ASSERT_TRUE(clients_.find("g").ok());
  EXPECT_EQ(node_.produce_one("__consumer_offsets", 0).code, ErrorCode::kInvalidTopic);
  EXPECT_EQ(node_.delete_topic("__consumer_offsets").code, ErrorCode::kInvalidTopic);
  const auto id = node_.shard().image().topic(kOffsetsTopic)->id;
  const auto by_id = node_.wait<std::vector<TopicOutcome>>([&](auto reply) {
    delete_topics(node_.shard(), {{.id = id, .name = ""}}, std::move(reply));
  });
  EXPECT_EQ(by_id.front().code, ErrorCode::kInvalidTopic);
  std::vector<MorePartitions> more;
  more.push_back({.name = "__consumer_offsets", .count = 60, .assignments = {}});
  const auto grown = node_.wait<std::vector<TopicOutcome>>([&](auto reply) {
    create_partitions(node_.shard(), std::move(more), false, std::move(reply));
  });
  EXPECT_EQ(grown.front().code, ErrorCode::kInvalidTopic);
  EXPECT_EQ(node_.shard().image().topic(kOffsetsTopic)->partition_count(), 50);
}

TEST_F(GroupsTest, ReadsBeforeAnyGroupMakeNothing) {
  EXPECT_THAT(clients_.list(), IsEmpty());
  EXPECT_EQ(clients_.describe("g").status.code, ErrorCode::kGroupIdNotFound);
  EXPECT_EQ(clients_.describe("g").summary.state, GroupState::kDead);
  EXPECT_EQ(clients_.committed("g", "orders", 0), -1);
  EXPECT_EQ(remove({"g"}).front().code, ErrorCode::kGroupIdNotFound);
  EXPECT_EQ(clients_.lag("g").group.status.code, ErrorCode::kGroupIdNotFound);
  coordinator::LeaveGroup leave;
  leave.group = "g";
  const auto left = node_.wait<coordinator::LeaveOutcome>(
      [&](auto reply) { leave_group(node_.shard(), leave, std::move(reply)); });
  EXPECT_EQ(left.status.code, ErrorCode::kNotCoordinator);
  EXPECT_EQ(node_.shard().image().topic(kOffsetsTopic), nullptr);
}

// ---- Members and offsets

TEST_F(GroupsTest, EveryShardServesEveryGroup) {
  for (int g = 0; g < 8; ++g) {
    const std::string group = fmt::format("group-{}", g);
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      const auto outcome =
          clients_.commit(GroupClients::simple_commit(group, "orders", 1, 10 + shard), shard);
      ASSERT_TRUE(outcome.status.ok()) << outcome.status.detail;
      EXPECT_THAT(outcome.partitions, ElementsAre(ErrorCode::kNone));
      for (std::uint32_t reader = 0; reader < kShards; ++reader)
        EXPECT_EQ(clients_.committed(group, "orders", 1, reader), 10 + shard);
    }
  }
  EXPECT_THAT(clients_.list({}, 1), SizeIs(8));
}

TEST_F(GroupsTest, MembersShareATopicAndLeave) {
  const auto members = clients_.join_all("app", "orders", kPartitions, 3);
  std::vector<std::int32_t> all;
  for (const ClassicMember& member : members) {
    EXPECT_TRUE(clients_.heartbeat("app", member).ok());
    all.insert(all.end(), member.partitions.begin(), member.partitions.end());
  }
  EXPECT_THAT(all, ::testing::UnorderedElementsAre(0, 1, 2, 3));
  const auto description = clients_.describe("app", 1);
  EXPECT_EQ(description.summary.state, GroupState::kStable);
  EXPECT_THAT(description.members, SizeIs(3));
  EXPECT_EQ(remove({"app"}).front().code, ErrorCode::kNonEmptyGroup);
  coordinator::LeaveGroup leave;
  leave.group = "app";
  for (const ClassicMember& member : members)
    leave.members.push_back({.member = member.id, .instance = {}, .reason = "test"});
  const auto left = node_.wait<coordinator::LeaveOutcome>(
      [&](auto reply) { leave_group(node_.shard(1), leave, std::move(reply)); });
  EXPECT_TRUE(left.status.ok());
  EXPECT_EQ(clients_.describe("app").summary.state, GroupState::kEmpty);
  EXPECT_TRUE(remove({"app"}).front().ok());
  EXPECT_THAT(clients_.list(), IsEmpty());
}

TEST_F(GroupsTest, SilentMembersAreGivenUpByTheTimer) {
  const auto members = clients_.join_all("app", "orders", kPartitions, 2);
  node_.world.run_for(seconds(44));
  EXPECT_THAT(clients_.describe("app").members, SizeIs(2));
  node_.world.run_for(seconds(120));
  EXPECT_THAT(clients_.describe("app").members, IsEmpty());
  EXPECT_EQ(clients_.heartbeat("app", members[0]).code, ErrorCode::kUnknownMemberId);
}

TEST_F(GroupsTest, ListsFilterByStateAndType) {
  clients_.join_all("busy", "orders", kPartitions, 1);
  clients_.commit(GroupClients::simple_commit("idle", "orders", 0, 1));
  beat(joining("new", "orders"));
  EXPECT_THAT(clients_.list(), ElementsAre("busy", "idle", "new"));
  EXPECT_THAT(clients_.list({.states = {GroupState::kEmpty}, .types = {}}), ElementsAre("idle"));
  EXPECT_THAT(clients_.list({.states = {}, .types = {coordinator::GroupType::kConsumer}}),
              ElementsAre("new"));
  const auto descriptions = node_.wait<std::vector<coordinator::GroupDescription>>([&](auto reply) {
    describe_groups(node_.shard(), {"new", "nobody", "busy"}, std::move(reply));
  });
  ASSERT_THAT(descriptions, SizeIs(3));
  EXPECT_EQ(descriptions[0].summary.type, coordinator::GroupType::kConsumer);
  EXPECT_EQ(descriptions[1].status.code, ErrorCode::kGroupIdNotFound);
  EXPECT_EQ(descriptions[1].summary.group, "nobody");
  EXPECT_EQ(descriptions[2].summary.group, "busy");
}

// ---- Topics

// Goal: a consumer group is assigned what exists when it joins, and what is made later. Method: a
// topic made the moment before the join, and partitions added while it runs.
TEST_F(GroupsTest, ConsumerGroupsFollowTheTopics) {
  beat(joining("app", "orders"));
  node_.create_topic("fresh", 3);
  auto request = joining("app", "orders");
  request.group = "fresh-app";
  request.topics = {"fresh"};
  auto outcome = beat(request);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.detail;
  ASSERT_TRUE(outcome.assignment.has_value());
  ASSERT_THAT(*outcome.assignment, SizeIs(1));
  EXPECT_THAT(outcome.assignment->front().partitions, ElementsAre(0, 1, 2));
  std::vector<MorePartitions> more;
  more.push_back({.name = "fresh", .count = 5, .assignments = {}});
  node_.wait<std::vector<TopicOutcome>>([&](auto reply) {
    create_partitions(node_.shard(), std::move(more), false, std::move(reply));
  });
  node_.world.run_for(seconds(2));
  ConsumerHeartbeat again;
  again.group = "fresh-app";
  again.member = request.member;
  again.epoch = outcome.epoch;
  again.owned = outcome.assignment;
  outcome = beat(again);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.detail;
  ASSERT_TRUE(outcome.assignment.has_value());
  EXPECT_THAT(outcome.assignment->front().partitions, ElementsAre(0, 1, 2, 3, 4));
}

TEST_F(GroupsTest, OffsetsOfADeletedTopicGo) {
  node_.create_topic("gone", 1);
  clients_.commit(GroupClients::simple_commit("app", "gone", 0, 5));
  clients_.commit(GroupClients::simple_commit("app", "orders", 0, 7));
  node_.delete_topic("gone");
  node_.world.run_for(seconds(1));
  EXPECT_EQ(clients_.committed("app", "gone", 0), -1);
  EXPECT_EQ(clients_.committed("app", "orders", 0), 7);
}

// ---- Settings

TEST(GroupSettings, AreTheBrokersAndTheTablesDefaultsAreTheStructs) {
  const coordinator::Settings plain = group_settings({});
  EXPECT_EQ(plain.group_initial_rebalance_delay_ms, 3000);
  EXPECT_EQ(plain.group_min_session_timeout_ms, 6000);
  EXPECT_EQ(plain.group_max_session_timeout_ms, 1'800'000);
  EXPECT_EQ(plain.group_max_size, INT32_MAX);
  EXPECT_EQ(plain.offset_metadata_bytes_max, 4096);
  EXPECT_EQ(plain.offsets_retention_ms, 7LL * 24 * 3'600'000);
  EXPECT_EQ(plain.offsets_retention_check_ms, 600'000);
  EXPECT_EQ(plain.consumer_session_timeout_ms, 45'000);
  EXPECT_EQ(plain.consumer_heartbeat_interval_ms, 5000);
  EXPECT_EQ(plain.consumer_assignment_interval_ms, 1000);
  EXPECT_EQ(plain.consumer_max_size, INT32_MAX);
  EXPECT_THAT(plain.consumer_assignors, ElementsAre("uniform", "range"));
  EXPECT_EQ(plain.consumer_migration, coordinator::Settings::Migration::kBidirectional);
  EXPECT_EQ(fetch_silence({}), seconds(60));
  const model::ConfigMap set{{"group.initial.rebalance.delay.ms", "0"},
                             {"offsets.retention.minutes", "2"},
                             {"group.consumer.assignors", "range"},
                             {"group.consumer.migration.policy", "upgrade"},
                             {"group.max.size", "7"}};
  const coordinator::Settings changed = group_settings({.from_start = &set});
  EXPECT_EQ(changed.group_initial_rebalance_delay_ms, 0);
  EXPECT_EQ(changed.offsets_retention_ms, 120'000);
  EXPECT_THAT(changed.consumer_assignors, ElementsAre("range"));
  EXPECT_EQ(changed.consumer_migration, coordinator::Settings::Migration::kUpgrade);
  EXPECT_EQ(changed.group_max_size, 7);
}

TEST(GroupSettings, TimesThatNoClockCanCountAreForEver) {
  const model::ConfigMap set{{"offsets.retention.check.interval.ms", "9223372036854775807"},
                             {"group.fetch.silence.ms", "9223372036854775807"}};
  const model::BrokerLayers layers{.from_start = &set};
  constexpr common::Duration kYears = std::chrono::hours(24 * 365 * 50);
  EXPECT_GT(fetch_silence(layers), kYears);
  EXPECT_GT(common::Duration(milliseconds(group_settings(layers).offsets_retention_check_ms)),
            kYears);
}

TEST_F(GroupsTest, DynamicSettingsReachTheMachines) {
  ASSERT_TRUE(clients_.find("g").ok());
  std::vector<ConfigCommand> commands;
  commands.push_back({.type = ResourceType::kBroker,
                      .resource = "",
                      .changes = {{.name = "group.consumer.assignment.interval.ms",
                                   .operation = ConfigChange::Operation::kSet,
                                   .value = "7"}}});
  node_.wait<std::vector<ConfigOutcome>>([&](auto reply) {
    alter_configs(node_.shard(), std::move(commands), AlterStyle::kIncremental, false,
                  std::move(reply));
  });
  for (std::uint32_t i = 0; i < kShards; ++i)
    EXPECT_EQ(node_.shard(i).coordinators().settings().consumer_assignment_interval_ms, 7);
}

// ---- Lag

TEST_F(GroupsTest, LagIsWhatIsLeftToRead) {
  for (int i = 0; i < 5; ++i) node_.produce_one("orders", 1);
  node_.produce_one("orders", 3);
  const auto members = clients_.join_all("app", "orders", kPartitions, 2);
  clients_.commit(GroupClients::simple_commit("other", "orders", 1, 2));
  clients_.commit(GroupClients::simple_commit("other", "nowhere", 0, 2));
  const GroupLag other = clients_.lag("other", 1);
  ASSERT_TRUE(other.group.status.ok());
  ASSERT_THAT(other.partitions, SizeIs(2));
  EXPECT_EQ(other.partitions[0].topic, "nowhere");
  EXPECT_EQ(other.partitions[0].lag, -1);
  EXPECT_EQ(other.partitions[1].lag, 3);
  EXPECT_EQ(other.partitions[1].end, Offset{5});
  EXPECT_EQ(other.partitions[1].committed.offset, Offset{2});
  EXPECT_EQ(other.lag, 3);
  const GroupLag app = clients_.lag("app");
  ASSERT_THAT(app.partitions, SizeIs(kPartitions));
  EXPECT_EQ(app.partitions[1].lag, 5) << "nothing committed: from the log's start";
  EXPECT_EQ(app.partitions[0].member, app.partitions[2].member);
  EXPECT_NE(app.partitions[0].member, app.partitions[1].member);
  EXPECT_THAT(members, Contains(::testing::Field(&ClassicMember::id, app.partitions[1].member)));
  EXPECT_FALSE(app.partitions[1].unfetched.has_value());
  node_.fetch_one("orders", 1);
  node_.world.run_for(seconds(3));
  EXPECT_GE(clients_.lag("app").partitions[1].unfetched.value(), seconds(3));
  const auto all = node_.wait<std::vector<GroupLagSummary>>(
      [&](auto reply) { group_lags(node_.shard(1), std::move(reply)); });
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].group.group, "app");
  EXPECT_EQ(all[0].members, 2);
  EXPECT_EQ(all[0].lag, 6);
  ASSERT_THAT(all[0].topics, SizeIs(1));
  EXPECT_THAT(all[0].topics[0].partitions, SizeIs(kPartitions));
  EXPECT_EQ(all[1].lag, 3);
}

// A leader may assign what it likes; millions of partitions that are not there must cost nothing.
TEST_F(GroupsTest, LagKnowsOnlyPartitionsThatAreThere) {
  clients_.join_all("app", "orders", kPartitions + 100, 2);
  EXPECT_THAT(clients_.lag("app").partitions, SizeIs(kPartitions));
  clients_.join_all("lost", "nowhere", 10, 1);
  EXPECT_THAT(clients_.lag("lost").partitions, IsEmpty());
}

// Goal: a consumer that heartbeats and does not fetch what it is assigned is named, once, and only
// while that lasts (a stuck client looks well to everybody else). Method: a member that only sends
// heartbeats, beside one whose partition has nothing to read and one that fetches.
TEST_F(GroupsTest, AssignedButNotFetchingIsTold) {
  const auto members = clients_.join_all("app", "orders", kPartitions, 4);
  for (const std::int32_t partition : {0, 1}) node_.produce_one("orders", partition);
  const auto live = [&](int half_minutes, bool stuck) {
    for (int i = 0; i < half_minutes * 3; ++i) {
      node_.world.run_for(seconds(10));
      for (const ClassicMember& member : members) {
        if (const auto status = clients_.heartbeat("app", member); !status.ok()) ADD_FAILURE();
      }
      node_.fetch_one("orders", 1);
      if (!stuck) node_.fetch_one("orders", 0);
    }
  };
  const auto told = [&] {
    return std::count_if(node_.notes.begin(), node_.notes.end(), [](const std::string& note) {
      return note.find("event=assigned-not-fetching") != std::string::npos;
    });
  };
  live(1, true);
  EXPECT_EQ(told(), 0) << "half a minute is not long";
  live(5, true);
  ASSERT_EQ(told(), 1) << "once, and neither of those that fetch nor of those with nothing to read";
  const auto stuck = std::ranges::find_if(members, [](const ClassicMember& member) {
    return std::ranges::count(member.partitions, 0) == 1;
  });
  EXPECT_THAT(node_.notes, Contains(HasSubstr("group=app member=" + stuck->id)));
  EXPECT_THAT(node_.notes, Contains(HasSubstr("first=orders-0")));
  GroupLag lag = clients_.lag("app");
  EXPECT_TRUE(lag.partitions[0].not_fetching);
  EXPECT_FALSE(lag.partitions[1].not_fetching);
  EXPECT_FALSE(lag.partitions[2].not_fetching);
  live(3, false);
  EXPECT_FALSE(clients_.lag("app").partitions[0].not_fetching);
  EXPECT_EQ(told(), 1);
}

// ---- The end

// Goal: a stop keeps nobody waiting: not those in a rebalance, not those who leave. Method: join
// without a leader's sync, leave and commit during the stop.
TEST_F(GroupsTest, AStopAnswersEverything) {
  ASSERT_TRUE(clients_.find("app").ok());
  std::optional<JoinOutcome> joined;
  clients_.join("app", "orders", 0, [&](JoinOutcome outcome) { joined = std::move(outcome); });
  node_.world.run_for(milliseconds(100));
  ASSERT_FALSE(joined.has_value()) << "the first rebalance waits for others";
  std::optional<coordinator::OffsetCommitOutcome> committed;
  commit_offsets(node_.shard(), GroupClients::simple_commit("app2", "orders", 0, 5),
                 [&](auto outcome) { committed = std::move(outcome); });
  for (std::uint32_t i = 0; i < kShards; ++i)
    node_.shard(i).coordinators().close(ErrorCode::kCoordinatorNotAvailable);
  node_.world.run_for(milliseconds(5));
  ASSERT_TRUE(joined.has_value());
  EXPECT_EQ(joined->status.code, ErrorCode::kCoordinatorNotAvailable);
  ASSERT_TRUE(committed.has_value());
  coordinator::LeaveGroup leave;
  leave.group = "app";
  leave.members.push_back({.member = "somebody", .instance = {}, .reason = ""});
  const common::Instant begun = node_.world.clock().now();
  const auto left = node_.wait<coordinator::LeaveOutcome>(
      [&](auto reply) { leave_group(node_.shard(), leave, std::move(reply)); });
  EXPECT_EQ(left.status.code, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_LT(node_.world.clock().now() - begun, milliseconds(1));
  node_.stop();
}

}  // namespace
}  // namespace millrace::service
