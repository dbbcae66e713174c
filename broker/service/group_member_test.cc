// Members of groups that live in the broker, on a whole broker in simulated time.
#include "broker/service/group_member.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "broker/service/group_offsets.h"
#include "broker/service/testing/group_clients.h"

namespace millrace::service {
namespace {

using coordinator::GroupState;
using model::ErrorCode;
using model::Offset;
using model::PartitionIndex;
using model::PartitionKey;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::GroupClients;
using ::testing::IsEmpty;
using testing::Node;
using ::testing::SizeIs;

/// A client of a member: takes what it is assigned, gives back what it is asked for when it is told
/// to, and remembers everything.
class Owner final : public MemberEvents {
 public:
  void on_joined() override { joined = true; }
  void on_assigned(std::vector<AssignedPartition> partitions) override {
    for (const AssignedPartition& partition : partitions) {
      EXPECT_FALSE(has.contains(partition.key.index.value())) << "assigned twice";
      has.insert(partition.key.index.value());
      committed[partition.key.index.value()] = partition.committed.offset.value();
    }
  }
  void on_revoking(std::vector<PartitionKey> partitions) override {
    EXPECT_THAT(revoking, IsEmpty()) << "one revocation at a time";
    for (const PartitionKey& key : partitions) revoking.insert(key.index.value());
    if (releases_at_once) release();
  }
  void on_lost(std::vector<PartitionKey> partitions, const std::string&) override {
    for (const PartitionKey& key : partitions) has.erase(key.index.value());
    revoking.clear();
    ++losses;
  }
  void on_failed(const common::Error& error) override { failure = error; }
  void release() {
    for (const std::int32_t partition : revoking) has.erase(partition);
    revoking.clear();
    member->released();
  }

  std::shared_ptr<GroupMember> member;
  bool joined = false;
  bool releases_at_once = true;
  std::set<std::int32_t> has;
  std::set<std::int32_t> revoking;
  std::map<std::int32_t, std::int64_t> committed;
  int losses = 0;
  std::optional<common::Error> failure;
};

constexpr std::int32_t kPartitions = 6;

class GroupMemberTest : public ::testing::Test {
 protected:
  GroupMemberTest() : node_({.shards = 2}), clients_(node_) {
    node_.start();
    topic_ = node_.create_topic("orders", kPartitions);
  }
  ~GroupMemberTest() override {
    for (const auto& owner : owners_) leave(*owner);
  }

  Owner& join(std::optional<std::string> instance = std::nullopt, std::size_t shard = 0) {
    owners_.push_back(std::make_unique<Owner>());
    Owner& owner = *owners_.back();
    MemberOptions options;
    options.group = "orders-app";
    options.topics = {"orders"};
    options.instance = std::move(instance);
    options.rebalance_timeout_ms = 30'000;
    options.client = {"test", "/10.0.0.1"};
    owner.member = GroupMember::join(node_.shard(shard), std::move(options), owner);
    return owner;
  }
  void leave(Owner& owner, GroupMember::Leaving way = GroupMember::Leaving::kForGood) {
    if (owner.member == nullptr) return;
    node_.wait<bool>([&](common::Reply<bool> reply) {
      owner.member->leave(way, [reply = std::move(reply)]() mutable { reply(true); });
    });
    owner.member.reset();
    owner.has.clear();
  }
  /// Runs the world until the condition holds; no partition may ever have two owners.
  bool until(const std::function<bool()>& condition, common::Duration limit = seconds(120)) {
    return node_.world.run_until(
        [&] {
          std::set<std::int32_t> seen;
          for (const auto& owner : owners_) {
            for (const std::int32_t partition : owner->has)
              EXPECT_TRUE(seen.insert(partition).second) << "two members have " << partition;
          }
          return condition();
        },
        limit);
  }
  bool until_shares(std::vector<std::pair<const Owner*, std::size_t>> shares) {
    return until([shares] {
      return std::all_of(shares.begin(), shares.end(),
                         [](const auto& share) { return share.first->has.size() == share.second; });
    });
  }
  std::vector<ErrorCode> commit(Owner& owner,
                                std::vector<std::pair<std::int32_t, std::int64_t>> offsets) {
    std::vector<GroupMember::CommitPartition> partitions;
    for (const auto& [partition, offset] : offsets) {
      auto& one = partitions.emplace_back();
      one.topic = {"orders", topic_};
      one.partition = partition;
      one.offset = Offset{offset};
    }
    return node_.wait<std::vector<ErrorCode>>(
        [&](auto reply) { owner.member->commit(std::move(partitions), std::move(reply)); });
  }
  std::int64_t committed(std::int32_t partition) {
    return clients_.committed("orders-app", "orders", partition);
  }

  Node node_;
  GroupClients clients_;
  model::TopicId topic_;
  std::vector<std::unique_ptr<Owner>> owners_;
};

TEST_F(GroupMemberTest, TheFirstGetsEverythingAndTheNextItsShare) {
  Owner& first = join();
  ASSERT_TRUE(until_shares({{&first, 6}}));
  EXPECT_TRUE(first.joined);
  Owner& second = join(std::nullopt, 1);
  ASSERT_TRUE(until_shares({{&first, 3}, {&second, 3}}));
  const auto described = clients_.describe("orders-app");
  EXPECT_EQ(described.summary.type, coordinator::GroupType::kConsumer);
  EXPECT_THAT(described.members, SizeIs(2));
  EXPECT_EQ(described.members[0].client.id, "test");
  leave(second);
  ASSERT_TRUE(until_shares({{&first, 6}}));
}

// Goal: what a member holds is not given away before it has released it. Method: the first member
// takes its time; the second one gets nothing until then.
TEST_F(GroupMemberTest, NobodyGetsWhatIsNotReleased) {
  Owner& first = join();
  first.releases_at_once = false;
  ASSERT_TRUE(until_shares({{&first, 6}}));
  Owner& second = join();
  ASSERT_TRUE(until([&] { return first.revoking.size() == 3; }));
  node_.world.run_for(seconds(20));
  EXPECT_THAT(second.has, IsEmpty());
  EXPECT_TRUE(second.joined);
  const std::set<std::int32_t> given = first.revoking;
  first.release();
  ASSERT_TRUE(until_shares({{&first, 3}, {&second, 3}}));
  EXPECT_EQ(second.has, given);
}

// Goal: what is committed in front of a release is there for the next owner. Method: commit and
// release in one breath.
TEST_F(GroupMemberTest, CommitsComeBeforeTheRelease) {
  Owner& first = join();
  first.releases_at_once = false;
  ASSERT_TRUE(until_shares({{&first, 6}}));
  Owner& second = join();
  ASSERT_TRUE(until([&] { return !first.revoking.empty(); }));
  const std::int32_t partition = *first.revoking.begin();
  int answers = 0;
  for (const std::int64_t offset : {5, 6, 7}) {
    GroupMember::CommitPartition one;
    one.topic = {"orders", topic_};
    one.partition = partition;
    one.offset = Offset{offset};
    first.member->commit({one}, [&answers](const std::vector<ErrorCode>& codes) {
      EXPECT_THAT(codes, ElementsAre(ErrorCode::kNone));
      ++answers;
    });
  }
  first.release();
  EXPECT_EQ(first.member->commits_open(), 3u);
  ASSERT_TRUE(until([&] { return second.has.contains(partition); }));
  EXPECT_EQ(answers, 3);
  EXPECT_EQ(second.committed[partition], 7);
}

TEST_F(GroupMemberTest, CommitsAreOfOwnPartitionsOnly) {
  Owner& first = join();
  ASSERT_TRUE(until_shares({{&first, 6}}));
  EXPECT_THAT(commit(first, {{0, 3}, {9, 1}}),
              ElementsAre(ErrorCode::kNone, ErrorCode::kStaleMemberEpoch));
  Owner& second = join();
  ASSERT_TRUE(until_shares({{&first, 3}, {&second, 3}}));
  const std::int32_t others = *second.has.begin();
  EXPECT_THAT(commit(first, {{others, 9}}), ElementsAre(ErrorCode::kStaleMemberEpoch));
  EXPECT_EQ(committed(0), 3);
  EXPECT_NE(committed(others), 9);
  EXPECT_THAT(commit(second, {{others, 4}}), ElementsAre(ErrorCode::kNone));
  EXPECT_EQ(committed(others), 4);
}

TEST_F(GroupMemberTest, ItStaysForAsLongAsItsOwnerDoesNothing) {
  Owner& first = join();
  ASSERT_TRUE(until_shares({{&first, 6}}));
  node_.world.run_for(std::chrono::hours(2));
  EXPECT_EQ(first.losses, 0);
  EXPECT_THAT(first.has, SizeIs(6));
  EXPECT_EQ(clients_.describe("orders-app").summary.state, GroupState::kStable);
}

// Goal: a member that the group gave up hears of it, and comes back. Method: it does not release
// for longer than its rebalance timeout.
TEST_F(GroupMemberTest, AMemberThatIsGivenUpLosesEverythingAndJoinsAgain) {
  Owner& first = join();
  first.releases_at_once = false;
  ASSERT_TRUE(until_shares({{&first, 6}}));
  Owner& second = join();
  ASSERT_TRUE(until([&] { return first.losses == 1; }));
  EXPECT_FALSE(first.failure);
  first.releases_at_once = true;
  ASSERT_TRUE(until_shares({{&first, 3}, {&second, 3}}));
}

TEST_F(GroupMemberTest, AStaticMemberFindsItsPartitionsAgain) {
  Owner& first = join("one");
  Owner& second = join("two");
  ASSERT_TRUE(until_shares({{&first, 3}, {&second, 3}}));
  const std::set<std::int32_t> had = first.has;
  leave(first, GroupMember::Leaving::kForAWhile);
  node_.world.run_for(seconds(10));
  EXPECT_THAT(second.has, SizeIs(3)) << "they wait for it";
  Owner& again = join("one");
  ASSERT_TRUE(until_shares({{&again, 3}, {&second, 3}}));
  EXPECT_EQ(again.has, had);
  leave(again, GroupMember::Leaving::kForGood);
  ASSERT_TRUE(until_shares({{&second, 6}}));
}

TEST_F(GroupMemberTest, AStaticIdentityInUseIsRefused) {
  Owner& first = join("one");
  ASSERT_TRUE(until_shares({{&first, 6}}));
  Owner& usurper = join("one");
  ASSERT_TRUE(until([&] { return usurper.failure.has_value(); }));
  EXPECT_EQ(usurper.failure->code, ErrorCode::kUnreleasedInstanceId);
  EXPECT_THAT(first.has, SizeIs(6));
}

TEST_F(GroupMemberTest, WhatTheGroupWillNotHaveFails) {
  Owner owner;
  MemberOptions options;
  options.group = "orders-app";
  options.topics = {"orders"};
  options.assignor = "no-such-assignor";
  options.client = {"test", "/10.0.0.1"};
  owner.member = GroupMember::join(node_.shard(), std::move(options), owner);
  ASSERT_TRUE(until([&] { return owner.failure.has_value(); }));
  EXPECT_EQ(owner.failure->code, ErrorCode::kUnsupportedAssignor);
  leave(owner);
}

TEST_F(GroupMemberTest, TopicsThatComeLaterAreTaken) {
  Owner& first = join();
  ASSERT_TRUE(until_shares({{&first, 6}}));
  std::vector<MorePartitions> more;
  more.push_back({.name = "orders", .count = 8});
  node_.wait<std::vector<TopicOutcome>>([&](auto reply) {
    create_partitions(node_.shard(), std::move(more), false, std::move(reply));
  });
  ASSERT_TRUE(until_shares({{&first, 8}}));
}

// ---- What is done to the group's offsets from outside

class GroupOffsetsTest : public GroupMemberTest {
 protected:
  using Rows = common::Result<std::vector<OffsetResetRow>>;
  Rows reset(OffsetReset request) {
    request.group = "orders-app";
    return node_.wait<Rows>([&](auto reply) {
      reset_group_offsets(node_.shard(1), std::move(request), std::move(reply));
    });
  }
  static std::vector<std::int64_t> after(const Rows& rows) {
    CHECK(rows.ok(), "{}", rows.error().detail);
    std::vector<std::int64_t> offsets;
    for (const OffsetResetRow& row : *rows) offsets.push_back(row.after.value());
    return offsets;
  }
  static OffsetReset to(OffsetMove move, std::vector<std::int32_t> partitions) {
    OffsetReset reset;
    reset.topics.push_back({.topic = "orders", .partitions = std::move(partitions)});
    reset.move = move;
    return reset;
  }
  void write(std::int32_t partition, std::vector<std::string> values,
             common::Timestamp time = common::Timestamp{1'000'000}) {
    const auto outcome =
        node_.produce_one("orders", partition, {.values = std::move(values), .time = time});
    CHECK(outcome.code == ErrorCode::kNone, "{}", outcome.detail);
  }
};

TEST_F(GroupOffsetsTest, GoWhereTheyAreAskedAndNeverOutOfTheLog) {
  using enum OffsetMove::To;
  write(0, {"a", "b", "c"});
  write(1, {"x"});
  EXPECT_THAT(after(reset(to({kEarliest}, {0, 1}))), ElementsAre(0, 0));
  EXPECT_THAT(after(reset(to({kLatest}, {0, 1}))), ElementsAre(3, 1));
  EXPECT_EQ(committed(0), 3);
  EXPECT_THAT(after(reset(to({kOffset, 2}, {0, 1}))), ElementsAre(2, 1));
  EXPECT_THAT(after(reset(to({kTime, 1'000'001}, {0, 1}))), ElementsAre(1, 1));
  EXPECT_THAT(after(reset(to({kShift, -1}, {0, 1}))), ElementsAre(0, 0));
  EXPECT_THAT(after(reset(to({kShift, INT64_MAX}, {0, 1}))), ElementsAre(3, 1));
  EXPECT_THAT(after(reset(to({kShift, INT64_MIN}, {0, 1}))), ElementsAre(0, 0));
  EXPECT_EQ(committed(0), 0);
}

TEST_F(GroupOffsetsTest, ADryRunStoresNothingAndSaysWhereTheyWere) {
  write(0, {"a", "b", "c"});
  ASSERT_TRUE(reset(to({OffsetMove::To::kOffset, 1}, {0})).ok());
  OffsetReset dry = to({OffsetMove::To::kLatest}, {0, 1});
  dry.dry_run = true;
  const Rows rows = reset(dry);
  EXPECT_THAT(after(rows), ElementsAre(3, 0));
  EXPECT_EQ(rows->at(0).before, Offset{1});
  EXPECT_EQ(rows->at(1).before, std::nullopt);
  EXPECT_EQ(rows->at(0).end, Offset{3});
  EXPECT_EQ(committed(0), 1);
  EXPECT_EQ(committed(1), -1);
}

TEST_F(GroupOffsetsTest, EveryPartitionOfTheGroupOrOneByOne) {
  for (const std::int32_t partition : {0, 1, 2}) write(partition, {"a", "b", "c"});
  ASSERT_TRUE(reset(to({OffsetMove::To::kOffset, 1}, {0, 2})).ok());
  OffsetReset all;
  all.move = {OffsetMove::To::kShift, 1};
  EXPECT_THAT(after(reset(all)), ElementsAre(2, 2)) << "of the two it has";
  OffsetReset exact;
  exact.exact.push_back({.topic = "orders", .partition = 1, .offset = Offset{3}, .metadata = "m"});
  exact.exact.push_back({.topic = "orders", .partition = 9, .offset = Offset{3}, .metadata = ""});
  const Rows rows = reset(exact);
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->at(0).code, ErrorCode::kNone);
  EXPECT_EQ(rows->at(1).code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(committed(1), 3);
}

TEST_F(GroupOffsetsTest, WhatCannotBeDoneIsRefused) {
  OffsetReset all;
  EXPECT_EQ(reset(all).error().code, ErrorCode::kGroupIdNotFound);
  OffsetReset nowhere;
  nowhere.topics.push_back({.topic = "no-such-topic", .partitions = {}});
  EXPECT_EQ(reset(nowhere).error().code, ErrorCode::kUnknownTopicOrPartition);
  const Rows shifted = reset(to({OffsetMove::To::kShift, 1}, {0}));
  ASSERT_TRUE(shifted.ok());
  EXPECT_EQ(shifted->at(0).code, ErrorCode::kInvalidRequest) << "nothing is committed there";
}

TEST_F(GroupOffsetsTest, NobodyMovesThemWhileMembersRead) {
  Owner& member = join();
  ASSERT_TRUE(until_shares({{&member, 6}}));
  for (const bool dry_run : {true, false}) {
    OffsetReset request = to({OffsetMove::To::kEarliest}, {0});
    request.dry_run = dry_run;
    EXPECT_EQ(reset(request).error().code, ErrorCode::kNonEmptyGroup);
  }
  leave(member);
  EXPECT_TRUE(reset(to({OffsetMove::To::kEarliest}, {0})).ok());
}

TEST_F(GroupOffsetsTest, AreForgottenByTopicOrByPartition) {
  using Deleted = common::Result<std::vector<DeletedOffsetRow>>;
  const auto forget = [&](std::vector<TopicChoice> topics) {
    return node_.wait<Deleted>([&](auto reply) {
      delete_group_offsets(node_.shard(), "orders-app", std::move(topics), std::move(reply));
    });
  };
  EXPECT_EQ(forget({{.topic = "orders", .partitions = {0}}}).error().code,
            ErrorCode::kGroupIdNotFound);
  ASSERT_TRUE(reset(to({OffsetMove::To::kEarliest}, {0, 1, 2})).ok());
  const Deleted one = forget({{.topic = "orders", .partitions = {1}}});
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(committed(1), -1);
  EXPECT_EQ(committed(2), 0);
  const Deleted rest = forget({{.topic = "orders", .partitions = {}}});
  ASSERT_TRUE(rest.ok());
  EXPECT_THAT(*rest, SizeIs(2));
}

}  // namespace
}  // namespace millrace::service
