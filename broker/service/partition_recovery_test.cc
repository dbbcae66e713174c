// Whose replica goes on when a majority is lost, and that it does.
#include "broker/service/partition_recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/service/testing/brokers.h"

namespace millrace::service {
namespace {

using model::BrokerId;
using model::ErrorCode;
using model::Offset;
using model::Term;
using std::chrono::seconds;
using testing::Brokers;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::values_in;

raft::ReplicaId replica_id(std::int32_t node) {
  return {BrokerId{node}, common::Uuid{{7, static_cast<std::uint8_t>(node + 1)}}};
}

RemainingReplica remaining(std::int32_t node, std::int32_t term, std::int64_t end) {
  RemainingReplica one{
      .id = replica_id(node), .last = {Term{term}, Offset{end}}, .config = {}, .leader = {}};
  one.config.id = {Term{1}, 1};
  one.config.voters = {replica_id(0), replica_id(1), replica_id(2), replica_id(3), replica_id(4)};
  return one;
}

TEST(ChooseSurvivor, TheNewestTermCountsBeforeTheLongestLog) {
  const auto chosen = choose_survivor({remaining(0, 2, 900), remaining(1, 3, 10)}, {});
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->id.node, BrokerId{1});
}

TEST(ChooseSurvivor, OfEqualLogsAVoterThenTheLowestId) {
  RemainingReplica learner = remaining(0, 3, 10);
  learner.id = replica_id(9);
  const auto chosen = choose_survivor({learner, remaining(2, 3, 10), remaining(1, 3, 10)}, {});
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->id.node, BrokerId{1});
}

TEST(ChooseSurvivor, NothingIsGivenUpWhereAMajorityOrALeaderIsThere) {
  const std::vector<RemainingReplica> majority = {remaining(0, 3, 1), remaining(1, 3, 1),
                                                  remaining(2, 3, 1)};
  EXPECT_EQ(choose_survivor(majority, BrokerId{1}).error().code, ErrorCode::kElectionNotNeeded);
  RemainingReplica led = remaining(0, 3, 1);
  led.leader = replica_id(4);
  EXPECT_THAT(choose_survivor({led}, {}).error().detail, HasSubstr("Broker 4 leads it"));
}

TEST(ChooseSurvivor, AVoterThatMayHaveForgottenDoesNotMakeAMajority) {
  std::vector<RemainingReplica> unsure = {remaining(0, 3, 1), remaining(1, 3, 1),
                                          remaining(2, 3, 2)};
  unsure[2].unclean = true;
  const auto chosen = choose_survivor(unsure, {});
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->id.node, BrokerId{2});
}

TEST(ChooseSurvivor, TheNewestVoterSetSaysWhoVotes) {
  // Broker 0 has not heard that brokers 1 and 2 were taken out of the group.
  RemainingReplica old = remaining(0, 3, 5);
  old.config.voters = {replica_id(0), replica_id(1), replica_id(2)};
  RemainingReplica fresh = remaining(1, 3, 4);
  fresh.config.id = {Term{3}, 2};
  fresh.config.voters = {replica_id(0), replica_id(7), replica_id(8)};
  EXPECT_TRUE(choose_survivor({old, fresh}, {}).ok());
}

TEST(ChooseSurvivor, TheWantedOneMustHaveSomething) {
  EXPECT_EQ(choose_survivor({remaining(0, 3, 1)}, BrokerId{4}).error().code,
            ErrorCode::kReplicaNotAvailable);
  EXPECT_EQ(choose_survivor({}, {}).error().code, ErrorCode::kReplicaNotAvailable);
}

TEST(RemainingReplicaBytes, SurviveTheWayAndRefuseWhatIsCut) {
  RemainingReplica one = remaining(3, 8, 77);
  one.config.learners = {replica_id(6)};
  one.unclean = true;
  const common::Bytes body = encode(std::optional(one));
  const auto read = decode_remaining(body.view());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, one);
  EXPECT_EQ(*decode_remaining(encode(std::optional<RemainingReplica>()).view()), std::nullopt);
  for (std::size_t size = 0; size < body.size(); ++size)
    EXPECT_FALSE(decode_remaining(body.view().first(size)).ok()) << size;
}

// Goal: what is left serves again, with all that it has. Method: two of three disks are gone for
// good; before that, recovery is refused.
TEST(RecoverPartitionTest, TheLastReplicaGoesOnAlone) {
  Brokers brokers;
  brokers.create_topic("orders", 1, {BrokerId{0}, BrokerId{1}, BrokerId{2}});
  const model::PartitionKey key = brokers.key("orders", 0);
  brokers.produce_surely(key);
  const auto recover = [&] {
    return brokers.wait<common::Result<Recovery>>([&](auto reply) {
      recover_partition(brokers.shard(2), {key, {}}, std::move(reply));
    });
  };
  EXPECT_EQ(recover().error().code, ErrorCode::kElectionNotNeeded);
  ASSERT_TRUE(
      brokers.until([&] { return brokers.replica(2, key)->bounds().high_watermark == Offset{1}; }));
  brokers.crash(0);
  brokers.crash(1);
  brokers.world.run_for(seconds(5));
  EXPECT_EQ(brokers.leader(key), std::nullopt);
  const auto recovered = recover();
  ASSERT_TRUE(recovered.ok()) << recovered.error().detail;
  EXPECT_EQ(recovered->leader, BrokerId{2});
  EXPECT_EQ(brokers.leader(key), 2u);
  EXPECT_THAT(values_in(brokers.fetch_one(2, key)), ElementsAre("value"));
  EXPECT_EQ(brokers.produce_one(2, key).code, ErrorCode::kNone);
  EXPECT_EQ(recover().error().code, ErrorCode::kElectionNotNeeded);
}

}  // namespace
}  // namespace millrace::service
