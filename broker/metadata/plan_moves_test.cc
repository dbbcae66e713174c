#include "broker/metadata/plan_moves.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "broker/metadata/replica_sets.h"
#include "broker/metadata/testing/cluster_model.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::PartitionKey;
using testing::ClusterModel;
using testing::directory_of;
using testing::random_cluster;
using testing::spread;

constexpr int kSeeds = 100;

std::vector<Record> records_of(const MovePlan& plan) {
  std::vector<Record> records;
  for (const PlannedRecord& action : plan.actions) records.push_back(action.record);
  return records;
}

/// Runs the planner until it has nothing to do, looking at every move that it begins.
class Mover {
 public:
  explicit Mover(ClusterModel& cluster) : cluster_(cluster) {}

  MovePlan converge() {
    for (int steps = 0; steps < 5000; ++steps) {
      MovePlan plan = plan_moves(cluster_.image, cluster_.view, limits);
      if (plan.actions.empty()) return plan;
      EXPECT_EQ(records_of(plan_moves(cluster_.image, cluster_.view, limits)), records_of(plan));
      for (const PlannedRecord& action : plan.actions) {
        if (const auto* start = std::get_if<MoveStarted>(&action.record)) look_at(*start);
        cluster_.commit(action.record);
      }
      expect_silence_about(plan);
      look_at_limits();
      cluster_.settle();
    }
    ADD_FAILURE() << "no end of moves";
    return {};
  }

  MoveLimits limits{.moves_max = 5, .moves_to_broker_max = 2, .bytes_uneven_min = 1};
  std::int64_t replicas_moved = 0;

 private:
  void look_at(const MoveStarted& start) {
    const PartitionAssignment& before = *cluster_.image.assignment(start.partition);
    const ReplicaSet& had = before.moving() ? before.target : before.replicas;
    EXPECT_EQ(start.target.size(), had.size());
    EXPECT_GE(cluster_.alive_of(start.target), cluster_.alive_of(had)) << "less available";
    EXPECT_TRUE(cluster_.view.status(start.partition)->leader.has_value());
    for (const Replica& replica : start.target) {
      if (contains(had, replica)) continue;
      ++replicas_moved;
      EXPECT_TRUE(cluster_.view.alive(replica.broker));
      EXPECT_EQ(cluster_.image.state(replica.broker), BrokerState::kActive);
    }
    look_at_racks(start.target, had);
  }

  /// No other choice of homes for what left would be on more racks.
  void look_at_racks(const ReplicaSet& target, const ReplicaSet& had) const {
    ReplicaSet staying;
    for (const Replica& replica : target) {
      if (contains(had, replica)) staying.push_back(replica);
    }
    const std::int64_t racks = cluster_.racks_of(target);
    std::vector<Replica> homes;
    for (const auto& [id, broker] : cluster_.image.brokers()) {
      if (cluster_.view.alive(id) && cluster_.image.state(id) == BrokerState::kActive)
        homes.push_back({id, broker.directory});
    }
    std::int64_t best = 0;
    const std::function<void(ReplicaSet, std::size_t)> choose = [&](ReplicaSet chosen,
                                                                    std::size_t next) {
      if (chosen.size() == target.size()) best = std::max(best, cluster_.racks_of(chosen));
      for (; chosen.size() < target.size() && next < homes.size(); ++next) {
        if (holds(chosen, homes[next].broker)) continue;
        ReplicaSet more = chosen;
        more.push_back(homes[next]);
        choose(more, next + 1);
      }
    };
    const bool must_leave = std::any_of(had.begin(), had.end(), [this](const Replica& replica) {
      return !cluster_.alive(replica) ||
             cluster_.image.state(replica.broker) != BrokerState::kActive;
    });
    if (must_leave) {
      choose(staying, 0);
      EXPECT_EQ(racks, best);
    } else {
      EXPECT_GE(racks, cluster_.racks_of(had));
    }
  }

  /// What was asked for is not asked for again, and not taken back.
  void expect_silence_about(const MovePlan& plan) const {
    const MovePlan again = plan_moves(cluster_.image, cluster_.view, limits);
    for (const PlannedRecord& action : plan.actions) {
      const auto* start = std::get_if<MoveStarted>(&action.record);
      if (start == nullptr) continue;
      for (const PlannedRecord& next : again.actions) {
        const auto* restart = std::get_if<MoveStarted>(&next.record);
        EXPECT_FALSE(restart != nullptr && restart->partition == start->partition);
        const auto* end = std::get_if<MoveCancelled>(&next.record);
        EXPECT_FALSE(end != nullptr && end->partition == start->partition);
      }
    }
  }

  void look_at_limits() const {
    std::map<BrokerId, std::int32_t> to;
    for (const PartitionKey& key : cluster_.partitions()) {
      const PartitionAssignment& assignment = *cluster_.image.assignment(key);
      for (const Replica& replica : assignment.target) {
        if (!contains(assignment.replicas, replica)) ++to[replica.broker];
      }
    }
    for (const auto& [id, moves] : to) EXPECT_LE(moves, limits.moves_to_broker_max);
  }

  ClusterModel& cluster_;
};

/// Replicas of each topic by broker.
using TopicCounts = std::map<model::TopicId, std::map<BrokerId, std::int64_t>>;

TopicCounts topic_counts(const ClusterModel& cluster) {
  TopicCounts counts;
  for (const PartitionKey& key : cluster.partitions()) {
    for (const Replica& replica : cluster.image.assignment(key)->replicas)
      ++counts[key.topic][replica.broker];
  }
  return counts;
}

/// Whether one replica could go to a broker with two fewer, of its topic or in total, without harm
/// to its partition's racks or its topic.
bool can_be_evened(const ClusterModel& cluster) {
  TopicCounts counts = topic_counts(cluster);
  for (const PartitionKey& key : cluster.partitions()) {
    const ReplicaSet& replicas = cluster.image.assignment(key)->replicas;
    for (std::size_t i = 0; i < replicas.size(); ++i) {
      for (const auto& [id, broker] : cluster.image.brokers()) {
        ReplicaSet other = replicas;
        other[i] = {id, broker.directory};
        if (holds(replicas, id) || cluster.image.state(id) != BrokerState::kActive) continue;
        if (cluster.racks_of(other) < cluster.racks_of(replicas)) continue;
        const BrokerId from = replicas[i].broker;
        const auto in_topic = counts[key.topic][from] - counts[key.topic][id];
        const auto in_total = cluster.image.replicas_on(from) - cluster.image.replicas_on(id);
        if (in_topic >= 2 || (in_topic == 1 && in_total >= 2)) return true;
      }
    }
  }
  return false;
}

bool without_racks(const ClusterModel& cluster) {
  return cluster.image.brokers().begin()->second.rack.empty();
}

// Goal: evening out ends, and is even as far as racks allow; with none, to within one replica.
// Method: random clusters that get one or two more brokers.
TEST(PlanMoves, NewBrokersEndUpAsFullAsTheOthers) {
  int without = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    common::Random random(seed);
    ClusterModel cluster = random_cluster(random);
    const std::int64_t total = cluster.image.partition_total();
    for (std::int32_t more = 0; more <= static_cast<std::int32_t>(random.below(2)); ++more)
      cluster.add_broker(20 + more, without_racks(cluster) ? "" : "a");
    Mover mover(cluster);
    EXPECT_TRUE(mover.converge().blockers.empty());
    EXPECT_FALSE(can_be_evened(cluster));
    EXPECT_EQ(cluster.image.partition_total(), total);
    if (!without_racks(cluster)) continue;
    ++without;
    EXPECT_LE(spread(cluster.counts()), 1);
    // Just enough: no broker's share is moved more than once.
    std::int64_t share = 0;
    for (const auto& [id, broker] : cluster.image.brokers())
      share += id >= BrokerId{20} ? cluster.image.replicas_on(id) : 0;
    EXPECT_LE(mover.replicas_moved, share + static_cast<std::int64_t>(cluster.counts().size()));
  }
  EXPECT_GT(without, 10);
}

// Goal: a new broker takes part in every topic, so that it shares the work of each (not all of it
// from the topics that come first by name). Method: a large idle topic before a small busy one.
TEST(PlanMoves, ANewBrokerSharesEveryTopic) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  ASSERT_TRUE(cluster.add_topic("a-idle", 50, 3));
  ASSERT_TRUE(cluster.add_topic("b-busy", 30, 3));
  cluster.add_broker(3, "");
  Mover mover(cluster);
  mover.limits = {};
  EXPECT_TRUE(mover.converge().blockers.empty());
  EXPECT_LE(spread(cluster.counts()), 1);
  for (auto& [topic, counts] : topic_counts(cluster)) {
    std::vector<std::int64_t> values;
    for (std::int32_t id = 0; id < 4; ++id) values.push_back(counts[BrokerId{id}]);
    EXPECT_LE(spread(values), 1);
  }
  EXPECT_EQ(mover.replicas_moved, 60) << "a quarter of 240, each once";
}

// Goal: a topic that was just made is left where it is, however uneven the brokers are.
TEST(PlanMoves, WhatWasJustPlacedIsEvenEnough) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  ASSERT_TRUE(cluster.add_topic("old", 20, 3));
  cluster.add_broker(3, "");
  ASSERT_TRUE(cluster.add_topic("new", 12, 3));
  cluster.settle();
  for (auto& [topic, counts] : topic_counts(cluster)) {
    if (cluster.image.topics().at("new")->id != topic) continue;
    for (std::int32_t id = 0; id < 4; ++id) EXPECT_EQ(counts[BrokerId{id}], 9);
  }
}

// Goal: a drained broker is empty, can be retired once, and its directory never comes back.
TEST(PlanMoves, ADrainEndsInAReceipt) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    common::Random random(seed);
    ClusterModel cluster = random_cluster(random);
    const BrokerId leaving{static_cast<std::int32_t>(random.below(3))};
    const common::Uuid directory = directory_of(leaving.value());
    cluster.add_broker(20, "");
    ASSERT_TRUE(cluster.commit_decision(decide(cluster.image, DrainBroker{leaving})));
    EXPECT_FALSE(decide(cluster.image, DecommissionBroker{leaving, directory}).ok());
    EXPECT_TRUE(Mover(cluster).converge().blockers.empty());
    EXPECT_EQ(cluster.image.state(leaving), BrokerState::kDrained);
    EXPECT_EQ(cluster.image.replicas_on(leaving), 0);
    const auto receipt = decide(cluster.image, DecommissionBroker{leaving, directory});
    ASSERT_TRUE(receipt.ok()) << receipt.error().detail;
    cluster.commit_all(receipt->records);
    const auto again = decide(cluster.image, DecommissionBroker{leaving, directory});
    ASSERT_TRUE(again.ok());
    EXPECT_TRUE(again->records.empty());
    EXPECT_EQ(again->outcome, receipt->outcome);
    EXPECT_FALSE(cluster.image.apply(BrokerRegistered{{.id = leaving, .directory = directory}}));
  }
}

// Goal: a broker that is gone for long enough is replaced wherever there is room, and no sooner;
// its partitions are whole afterwards.
TEST(PlanMoves, ADeadBrokerIsReplacedInTime) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    common::Random random(seed);
    ClusterModel cluster = random_cluster(random);
    cluster.add_broker(20, "");
    Mover(cluster).converge();
    const BrokerId dead{static_cast<std::int32_t>(random.below(3))};
    cluster.view.brokers[dead].silent_ms = MoveLimits{}.dead_after_ms - 1;
    cluster.settle();
    const MovePlan early = plan_moves(cluster.image, cluster.view, MoveLimits{});
    for (const PlannedRecord& action : early.actions) {
      const auto* start = std::get_if<MoveStarted>(&action.record);
      ASSERT_NE(start, nullptr);
      EXPECT_EQ(holds(start->target, dead),
                holds(cluster.image.assignment(start->partition)->replicas, dead));
    }
    cluster.view.brokers[dead].silent_ms = MoveLimits{}.dead_after_ms;
    const MovePlan end = Mover(cluster).converge();
    for (const PartitionKey& key : cluster.partitions()) {
      const ReplicaSet& replicas = cluster.image.assignment(key)->replicas;
      if (!holds(replicas, dead)) continue;
      // What cannot be healed is said.
      EXPECT_FALSE(cluster.view.status(key)->leader.has_value() &&
                   cluster.image.brokers().size() > replicas.size());
      EXPECT_TRUE(std::any_of(end.blockers.begin(), end.blockers.end(),
                              [&](const MoveBlocker& blocker) { return blocker.broker == dead; }));
    }
  }
}

// Goal: a broker with another disk gets its replicas back, and where nothing else changed nobody
// else is bothered.
TEST(PlanMoves, AnEmptyDiskIsFilledAgain) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    common::Random random(seed);
    ClusterModel cluster;
    for (std::int32_t id = 0; id < 4; ++id) cluster.add_broker(id, "");
    ASSERT_TRUE(cluster.add_topic("t", static_cast<std::int32_t>(1 + random.below(30)), 3));
    Mover(cluster).converge();
    const std::int64_t lost = cluster.image.replicas_on(BrokerId{2});
    cluster.add_broker(2, "", 1);
    cluster.settle();
    Mover mover(cluster);
    EXPECT_TRUE(mover.converge().blockers.empty());
    EXPECT_EQ(mover.replicas_moved, lost);
    for (const PartitionKey& key : cluster.partitions()) {
      for (const Replica& replica : cluster.image.assignment(key)->replicas)
        EXPECT_TRUE(cluster.alive(replica));
    }
    EXPECT_LE(spread(cluster.counts()), 1);
  }
}

// Goal: where only some of what must leave has a home, that much is done, the lost replicas first.
TEST(PlanMoves, WhatIsLostGoesBeforeWhatOnlyDrains) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 4; ++id) cluster.add_broker(id, "");
  cluster.commit(
      TopicCreated{testing::id_of(1, 50), "t", {{BrokerId{0}, BrokerId{1}, BrokerId{2}}}, {}});
  cluster.settle();
  cluster.commit(BrokerStateSet{BrokerId{0}, BrokerState::kDraining});
  cluster.view.brokers[BrokerId{1}].silent_ms = 600'000;
  cluster.settle();
  const MovePlan plan = plan_moves(cluster.image, cluster.view, MoveLimits{});
  ASSERT_EQ(plan.actions.size(), 1U);
  EXPECT_EQ(plan.actions[0].reason, "broker 1 is dead");
  const auto& start = std::get<MoveStarted>(plan.actions[0].record);
  EXPECT_TRUE(holds(start.target, BrokerId{0}));
  EXPECT_TRUE(holds(start.target, BrokerId{3}));
  ASSERT_EQ(plan.blockers.size(), 1U);
  EXPECT_EQ(plan.blockers[0].broker, BrokerId{0});
}

// Goal: a move whose target broke is turned round when its old home is free again: ended, not
// started towards where the replicas are.
TEST(PlanMoves, AMoveBackIsAnEnd) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  const PartitionKey key{testing::id_of(1, 50), model::PartitionIndex{0}};
  cluster.commit(TopicCreated{key.topic, "t", {{BrokerId{0}, BrokerId{1}}}, {}});
  cluster.settle();
  cluster.commit(
      MoveStarted{key, {{BrokerId{0}, directory_of(0)}, {BrokerId{2}, directory_of(2)}}});
  cluster.view.brokers[BrokerId{2}].silent_ms = 600'000;
  const MovePlan plan = plan_moves(cluster.image, cluster.view, MoveLimits{});
  ASSERT_EQ(plan.actions.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<MoveCancelled>(plan.actions[0].record));
  EXPECT_EQ(plan.actions[0].reason, "broker 2 is dead");
}

// Goal: what moves at once may copy no more than was allowed, and shares the rate.
TEST(PlanMoves, MovesStayWithinTheirRate) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  ASSERT_TRUE(cluster.add_topic("t", 12, 2));
  for (const PartitionKey& key : cluster.partitions()) cluster.sizes[key] = 400;
  cluster.add_broker(3, "");
  cluster.add_broker(4, "");
  cluster.settle();
  const MoveLimits limits{.bytes_per_second = 100, .seconds_ahead = 10};
  const MovePlan plan = plan_moves(cluster.image, cluster.view, limits);
  EXPECT_EQ(plan.actions.size(), 2U);  // 800 bytes of 1000
  for (const PartitionKey& key : cluster.partitions()) cluster.sizes[key] = 4000;
  cluster.settle();
  EXPECT_EQ(plan_moves(cluster.image, cluster.view, limits).actions.size(), 1U)
      << "the first begins whatever its size";
}

}  // namespace
}  // namespace millrace::metadata
