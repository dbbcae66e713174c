// A cluster that keeps itself: brokers come, go, die and lose their disks, and replicas and leaders
// end up where they should be, with everything that was acknowledged.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "broker/service/leaders.h"
#include "broker/service/metadata_log.h"
#include "broker/service/permits.h"
#include "broker/service/testing/brokers.h"
#include "broker/service/topics.h"

namespace millrace::service {
namespace {

using metadata::BrokerState;
using model::BrokerId;
using model::PartitionKey;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Brokers;
using testing::BrokersOptions;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::values_in;

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};
constexpr int kPartitions = 6;
constexpr int kRecords = 3;

BrokerId id_of(std::size_t broker) {
  return BrokerId{static_cast<std::int32_t>(broker)};
}

class KeeperTest : public ::testing::Test {
 protected:
  static BrokersOptions options(std::size_t brokers, std::int64_t dead_after_ms = 600'000) {
    BrokersOptions options{.brokers = brokers, .keeps_itself = true};
    options.keeper.moves.dead_after_ms = dead_after_ms;
    options.keeper.members.dead_after_ms = dead_after_ms;
    return options;
  }

  /// A topic of three replicas with something in each partition.
  static void fill(Brokers& brokers) {
    brokers.create_topic("orders", kPartitions);
    for (int i = 0; i < kPartitions; ++i) {
      for (int n = 0; n < kRecords; ++n) brokers.produce_surely(brokers.key("orders", i));
    }
  }
  /// Everything that was written is there, and more can be.
  static void expect_whole(Brokers& brokers) {
    for (int i = 0; i < kPartitions; ++i) {
      const PartitionKey key = brokers.key("orders", i);
      ASSERT_TRUE(brokers.until([&] { return brokers.leader(key).has_value(); }));
      EXPECT_THAT(values_in(brokers.fetch_one(*brokers.leader(key), key)), SizeIs(kRecords)) << i;
    }
    for (int i = 0; i < kPartitions; ++i) brokers.produce_surely(brokers.key("orders", i));
  }
  /// How many replicas each broker has, by what the metadata wants and by what is there.
  static std::map<std::size_t, int> wanted(Brokers& brokers, std::size_t count) {
    std::map<std::size_t, int> replicas;
    for (std::size_t i = 0; i < count; ++i)
      replicas[i] = static_cast<int>(brokers.image().replicas_on(id_of(i)));
    return replicas;
  }
  static int held(Brokers& brokers, std::size_t broker) {
    int replicas = 0;
    for (int i = 0; i < kPartitions; ++i)
      replicas += brokers.replica(broker, brokers.key("orders", i)) != nullptr ? 1 : 0;
    return replicas;
  }
  static bool moving(Brokers& brokers) {
    const auto topic = brokers.image().topic("orders");
    return std::any_of(topic->assignments.begin(), topic->assignments.end(),
                       [](const auto& assignment) { return assignment.moving(); });
  }
  static std::set<BrokerId> metadata_voters(Brokers& brokers) {
    std::set<BrokerId> voters;
    const auto leader = brokers.metadata_leader();
    if (!leader) return voters;
    const auto* log = brokers.shard(*leader).replicas().find_any(kMetadataKey);
    for (const raft::ReplicaId& id : log->group()->config().voters) voters.insert(id.node);
    return voters;
  }
};

TEST_F(KeeperTest, BrokersFormOneClusterAndKnowTheSame) {
  Brokers brokers(options(4));
  ASSERT_TRUE(brokers.metadata_leader().has_value());
  EXPECT_THAT(metadata_voters(brokers),
              ::testing::ElementsAre(BrokerId{0}, BrokerId{1}, BrokerId{2}))
      << "the fourth learns";
  brokers.create_topic("orders", 1);
  ASSERT_TRUE(brokers.until([&] {
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t s = 0; s < 2; ++s) {
        if (!(brokers.shard(i, s).image() == brokers.image())) return false;
      }
    }
    return true;
  }));
  EXPECT_EQ(brokers.image().rejected(), 0u);
}

// Goal: whoever made a topic can write to it at once: where its leaders are is known when the
// answer comes. Method: ask a broker that has no replica of some partitions, too; the clock says
// that the answer did not just wait for its longest.
TEST_F(KeeperTest, AMadeTopicHasLeaders) {
  Brokers brokers(options(5));
  for (std::size_t asked = 0; asked < 5; ++asked) {
    const auto before = brokers.world.clock().now();
    std::vector<NewTopic> topics;
    for (int i = 0; i < 2; ++i)
      topics.push_back({.name = fmt::format("t{}-{}", asked, i), .partitions = 20});
    const auto made = brokers.wait<std::vector<TopicOutcome>>([&](auto reply) {
      create_topics(brokers.shard(asked), std::move(topics), false, std::move(reply));
    });
    EXPECT_LT(brokers.world.clock().now() - before, kLeadersMax);
    std::vector<PartitionKey> keys;
    for (const TopicOutcome& topic : made) {
      ASSERT_EQ(topic.code, model::ErrorCode::kNone) << topic.detail;
      for (std::int32_t index = 0; index < topic.partitions; ++index)
        keys.push_back({topic.id, model::PartitionIndex{index}});
    }
    const auto leaders = brokers.wait<std::vector<KnownLeader>>(
        [&](auto reply) { known_leaders(brokers.shard(asked), keys, std::move(reply)); });
    ASSERT_THAT(leaders, SizeIs(40));
    for (const KnownLeader& known : leaders) EXPECT_NE(known.leader, BrokerId{-1});
  }
}

// Goal: what cannot have a leader keeps nobody waiting for long. Method: replicas on two brokers,
// of which one does not run.
TEST_F(KeeperTest, ATopicWithoutLeadersIsAnsweredToo) {
  Brokers brokers(options(5));
  brokers.kill(3);
  const auto before = brokers.world.clock().now();
  std::vector<NewTopic> topics(1);
  topics[0].name = "orders";
  topics[0].assignments = {{model::PartitionIndex{0}, {id_of(3), id_of(4)}}};
  const auto made = brokers.wait<std::vector<TopicOutcome>>([&](auto reply) {
    create_topics(brokers.shard(0), std::move(topics), false, std::move(reply));
  });
  EXPECT_EQ(made[0].code, model::ErrorCode::kNone) << made[0].detail;
  EXPECT_GE(brokers.world.clock().now() - before, kLeadersMax);
  EXPECT_LT(brokers.world.clock().now() - before, 2 * kLeadersMax);
}

// Goal: any broker changes the metadata, also just after its leader died. Method: kill it; a change
// that another broker asks for at once is committed by the next leader.
TEST_F(KeeperTest, TheMetadataOutlivesItsLeader) {
  Brokers brokers(options(3));
  const std::size_t leader = *brokers.metadata_leader();
  brokers.crash(leader);
  const auto before = brokers.world.clock().now();
  brokers.create_topic("late", 1);
  EXPECT_LT(brokers.world.clock().now() - before, seconds(5));
  EXPECT_NE(brokers.metadata_leader(), leader);
  brokers.start(leader);
  ASSERT_TRUE(
      brokers.until([&] { return brokers.shard(leader).image().topic("late") != nullptr; }));
}

// Goal: a drained broker holds nothing, votes on nothing, and can leave for good. Method: drain one
// that votes on the metadata log while records are there; then decommission it.
TEST_F(KeeperTest, ADrainedBrokerIsEmptyAndLeavesForGood) {
  Brokers brokers(options(4));
  fill(brokers);
  brokers.change(metadata::DrainBroker{BrokerId{0}});
  ASSERT_TRUE(brokers.until(
      [&] { return brokers.image().state(BrokerId{0}) == BrokerState::kDrained; }, seconds(120)));
  EXPECT_EQ(wanted(brokers, 4)[0], 0);
  ASSERT_TRUE(brokers.until([&] { return held(brokers, 0) == 0; }));
  EXPECT_FALSE(metadata_voters(brokers).contains(BrokerId{0}));
  EXPECT_THAT(metadata_voters(brokers), SizeIs(3));
  expect_whole(brokers);
  const metadata::DecommissionBroker leave{BrokerId{0}, brokers.replica_id(0).directory};
  brokers.change(leave);
  EXPECT_FALSE(brokers.image().brokers().contains(BrokerId{0}));
  brokers.stop(0);
  brokers.world.run_for(seconds(5));
  EXPECT_TRUE(brokers.image().receipts().contains(leave.directory));
}

TEST_F(KeeperTest, ADrainThatIsTakenBackStops) {
  Brokers brokers(options(4));
  fill(brokers);
  brokers.change(metadata::DrainBroker{BrokerId{1}});
  brokers.change(metadata::UndrainBroker{BrokerId{1}});
  ASSERT_TRUE(brokers.until([&] { return !moving(brokers); }));
  brokers.world.run_for(seconds(20));
  ASSERT_FALSE(moving(brokers));
  EXPECT_EQ(brokers.image().state(BrokerId{1}), BrokerState::kActive);
  EXPECT_GE(wanted(brokers, 4)[1], kPartitions * 3 / 4);
}

// Goal: a broker that stays away is replaced, and one that comes back then finds its place. Method:
// its power goes for longer than broker.dead.after.ms.
TEST_F(KeeperTest, ADeadBrokerIsReplaced) {
  Brokers brokers(options(4, 10'000));
  fill(brokers);
  brokers.crash(2);
  brokers.world.run_for(seconds(5));
  EXPECT_GT(wanted(brokers, 4)[2], 0) << "not yet: it may come back";
  ASSERT_TRUE(
      brokers.until([&] { return wanted(brokers, 4)[2] == 0 && !moving(brokers); }, seconds(120)));
  EXPECT_FALSE(metadata_voters(brokers).contains(BrokerId{2}));
  expect_whole(brokers);
  brokers.start(2);
  // It is as good as new: what it holds still goes, and it gets its share.
  ASSERT_TRUE(brokers.until(
      [&] {
        return !moving(brokers) && wanted(brokers, 4)[2] >= kPartitions * 3 / 4 &&
               held(brokers, 2) == wanted(brokers, 4)[2];
      },
      seconds(180)));
}

TEST_F(KeeperTest, ABrokerThatComesBackInTimeKeepsItsReplicas) {
  Brokers brokers(options(4, 10'000));
  fill(brokers);
  const auto before = wanted(brokers, 4);
  brokers.crash(1);
  brokers.world.run_for(seconds(6));
  brokers.start(1);
  brokers.world.run_for(seconds(20));
  EXPECT_EQ(wanted(brokers, 4), before);
  EXPECT_FALSE(moving(brokers));
}

// Goal: a broker with a blank disk is another replica everywhere, and is made whole. Method: lose
// the disk of one; what it had is built anew under the name of its new directory.
TEST_F(KeeperTest, ALostDiskIsFilledAgain) {
  Brokers brokers(options(3));
  fill(brokers);
  brokers.crash(1);
  brokers.lose_disk(1);
  brokers.start(1);
  ASSERT_TRUE(brokers.until(
      [&] {
        for (int i = 0; i < kPartitions; ++i) {
          const auto key = brokers.key("orders", i);
          const auto leader = brokers.leader(key);
          if (!leader || brokers.image().assignment(key)->moving()) return false;
          const auto& config = brokers.replica(*leader, key)->group()->config();
          if (!config.is_voter(brokers.replica_id(1)) || config.voters.size() != 3) return false;
        }
        return true;
      },
      seconds(180)));
  ASSERT_TRUE(
      brokers.until([&] { return metadata_voters(brokers).contains(BrokerId{1}); }, seconds(60)));
  expect_whole(brokers);
}

// Goal: damage to the metadata of one broker is no reason for it not to start, or to lose anything
// (E10, E11). Method: a bit flips in the log, which is read at the start.
TEST_F(KeeperTest, DamagedMetadataComesAgainFromTheOthers) {
  Brokers brokers(options(3));
  fill(brokers);
  const std::size_t bad = (*brokers.metadata_leader() + 1) % 3;
  brokers.stop(bad);
  const std::string segment = fmt::format("topics/{}.{}/0/{:020}.log", kMetadataTopicName,
                                          model::kMetadataTopicId.text(), 0);
  brokers.disk(bad).flip_bit(segment, 100);
  brokers.start(bad);
  ASSERT_TRUE(brokers.until([&] {
    const replica::Partition* const log = brokers.shard(bad).replicas().find_any(kMetadataKey);
    return log->replica().repairs() == 1 && log->group() != nullptr && !log->group()->unclean();
  }));
  const std::size_t other = (bad + 1) % 3;
  ASSERT_TRUE(
      brokers.until([&] { return brokers.shard(bad).image() == brokers.shard(other).image(); }));
  brokers.world.run_for(seconds(10));
  EXPECT_EQ(held(brokers, bad), kPartitions);
  expect_whole(brokers);
}

TEST_F(KeeperTest, ANewBrokerGetsItsShare) {
  Brokers brokers(options(3));
  fill(brokers);
  const std::size_t fourth = brokers.add();
  ASSERT_TRUE(brokers.until(
      [&] { return !moving(brokers) && held(brokers, fourth) >= kPartitions * 3 / 4; },
      seconds(180)));
  const auto counts = wanted(brokers, 4);
  for (const auto& [broker, count] : counts) {
    EXPECT_GE(count, kPartitions * 3 / 4) << broker;
    EXPECT_LE(count, kPartitions * 3 / 4 + 1) << broker;
  }
  expect_whole(brokers);
}

TEST_F(KeeperTest, LeadersGoBackToWhomTheyBelong) {
  Brokers brokers(options(3));
  fill(brokers);
  const auto at_home = [&] {
    for (int i = 0; i < kPartitions; ++i) {
      const auto key = brokers.key("orders", i);
      const auto leader = brokers.leader(key);
      if (!leader) return false;
      if (id_of(*leader) != brokers.image().assignment(key)->replicas.front().broker) return false;
    }
    return true;
  };
  ASSERT_TRUE(brokers.until(at_home));
  brokers.crash(1);
  brokers.world.run_for(seconds(5));
  EXPECT_FALSE(at_home());
  brokers.start(1);
  EXPECT_TRUE(brokers.until(at_home));
}

// Goal: a cluster where nothing happens costs nothing but questions. Method: plans are counted; the
// next change is seen at once.
TEST_F(KeeperTest, AClusterAtRestIsLeftAlone) {
  Brokers brokers(options(3));
  fill(brokers);
  brokers.world.run_for(seconds(30));
  const std::size_t leader = *brokers.metadata_leader();
  const KeeperCounters before = brokers.keeper(leader).counters();
  brokers.world.run_for(seconds(30));
  const KeeperCounters after = brokers.keeper(leader).counters();
  EXPECT_GE(after.looks, before.looks + 25);
  EXPECT_EQ(after.plans, before.plans);
  brokers.crash((leader + 1) % 3);
  brokers.world.run_for(seconds(5));
  EXPECT_GT(brokers.keeper(leader).counters().plans, after.plans);
}

// Goal: of three brokers one at a time may stop, whoever is asked; and one that may stop leads
// nothing soon. Method: ask at a broker that does not lead the metadata log.
TEST_F(KeeperTest, OneBrokerAtATimeMayStop) {
  Brokers brokers(options(3));
  fill(brokers);
  const std::size_t leader = *brokers.metadata_leader();
  const std::size_t one = (leader + 1) % 3;
  const std::size_t other = (leader + 2) % 3;
  const auto ask = [&](std::size_t who) {
    return brokers
        .wait<common::Result<metadata::PermitAnswer>>([&](auto reply) {
          ask_permit(brokers.shard(other), {.broker = id_of(who)}, std::move(reply));
        })
        .value();
  };
  ASSERT_TRUE(brokers.until([&] { return ask(one).granted; }));
  EXPECT_TRUE(ask(one).granted) << "asked again, the same answer";
  const metadata::PermitAnswer refused = ask(other);
  EXPECT_FALSE(refused.granted);
  EXPECT_THAT(refused.blockers, ::testing::Not(IsEmpty()));
  ASSERT_TRUE(brokers.until([&] {
    for (int i = 0; i < kPartitions; ++i) {
      const auto led_by = brokers.leader(brokers.key("orders", i));
      if (!led_by || *led_by == one) return false;
    }
    return true;
  }));
  brokers.stop(one);
  brokers.start(one);
  EXPECT_TRUE(brokers.until([&] { return ask(other).granted; }, seconds(180)))
      << "a permit ends when its broker is back, or when its time is over";
}

}  // namespace
}  // namespace millrace::service
