#include "broker/metadata/plan_even.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/metadata/machine_cluster.h"
#include "broker/metadata/replay.h"
#include "broker/metadata/testing/cluster_model.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::PartitionIndex;
using model::PartitionKey;
using testing::ClusterModel;
using testing::id_of;
using testing::random_cluster;
using testing::spread;

constexpr int kSeeds = 100;

/// Until nothing is planned. The number of plans with actions.
int converge(ClusterModel& cluster, const MoveLimits& limits) {
  for (int plans = 0; plans < 5000; ++plans) {
    const MovePlan plan = plan_moves(cluster.image, cluster.view, limits);
    EXPECT_TRUE(plan.blockers.empty());
    if (plan.actions.empty()) return plans;
    cluster.run(plan);
    cluster.settle();
  }
  ADD_FAILURE() << "no end of moves";
  return 0;
}

// Goal: of brokers with as many replicas but more bytes, large ones are swapped for small ones
// until they are within a fifth, and the counts stay. Method: sizes that differ much, and that can
// be shared out evenly; a bound on how many swaps that may take.
TEST(PlanEven, BytesAreSwappedUntilTheyAreWithinAFifth) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    common::Random random(seed);
    ClusterModel cluster;
    const auto brokers = static_cast<std::int32_t>(4 + random.below(4));
    for (std::int32_t id = 0; id < brokers; ++id) cluster.add_broker(id, "");
    ASSERT_TRUE(cluster.add_topic("t", 20 * brokers, 2));
    for (const PartitionKey& key : cluster.partitions())
      cluster.sizes[key] = static_cast<std::int64_t>(100 + random.below(300));
    // What lies on broker 0 grew most.
    for (const PartitionKey& key : cluster.partitions()) {
      if (cluster.image.assignment(key)->replicas.front().broker == BrokerId{0})
        cluster.sizes[key] *= 5;
    }
    cluster.settle();
    const auto counts = cluster.counts();
    const auto uneven = cluster.bytes();
    ASSERT_GT(spread(uneven) * 5, *std::ranges::max_element(uneven));
    const int plans = converge(cluster, {.moves_max = 50, .bytes_uneven_min = 100});
    EXPECT_EQ(cluster.counts(), counts);
    const auto bytes = cluster.bytes();
    EXPECT_LE(spread(bytes) * 5, *std::ranges::max_element(bytes));
    EXPECT_LE(plans, 200);
  }
}

// Goal: little data is left where it is, however uneven; so is what cannot be evened out.
TEST(PlanEven, BytesAreLeftAlone) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  ASSERT_TRUE(cluster.add_topic("t", 3, 1));
  const auto keys = cluster.partitions();
  cluster.sizes[keys[0]] = 1'000'000;
  cluster.settle();
  EXPECT_TRUE(plan_moves(cluster.image, cluster.view, MoveLimits{}).actions.empty())
      << "less than a gibibyte";
  EXPECT_TRUE(plan_moves(cluster.image, cluster.view, {.bytes_uneven_min = 1}).actions.empty())
      << "one large partition would only change places";
}

// Goal: where something is not known, what looks light may be heavy: nothing is swapped.
TEST(PlanEven, BytesNeedToBeKnown) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 4; ++id) cluster.add_broker(id, "");
  ASSERT_TRUE(cluster.add_topic("t", 16, 2));
  for (const PartitionKey& key : cluster.partitions()) {
    if (cluster.image.assignment(key)->replicas.front().broker == BrokerId{0})
      cluster.sizes[key] = 50'000;
  }
  cluster.settle();
  const MoveLimits limits{.bytes_uneven_min = 1};
  const MovePlan plan = plan_moves(cluster.image, cluster.view, limits);
  EXPECT_FALSE(plan.actions.empty());
  EXPECT_LE(plan.actions.size(), 2U * kSwapsMax);
  EXPECT_EQ(plan.actions.size() % 2, 0U);
  cluster.view.partitions.erase(cluster.partitions().back());
  EXPECT_TRUE(plan_moves(cluster.image, cluster.view, limits).actions.empty());
}

/// Whether a leadership could go, over others or not, from some broker to one with two fewer. By
/// trying every way of one and two steps.
bool leads_can_be_evened(const ClusterModel& cluster) {
  const auto heirs = [&](BrokerId from) {
    std::vector<BrokerId> all;
    for (const PartitionKey& key : cluster.partitions()) {
      const ReplicaSet& replicas = cluster.image.assignment(key)->replicas;
      if (replicas.front().broker != from) continue;
      for (std::size_t i = 1; i < replicas.size(); ++i) all.push_back(replicas[i].broker);
    }
    return all;
  };
  for (const auto& [id, broker] : cluster.image.brokers()) {
    const std::int64_t most = cluster.image.leads_on(id);
    for (const BrokerId heir : heirs(id)) {
      if (most - cluster.image.leads_on(heir) >= 2) return true;
      for (const BrokerId next : heirs(heir)) {
        if (next != id && most - cluster.image.leads_on(next) >= 2) return true;
      }
    }
  }
  return false;
}

// Goal: preferred leaders end as even as their replicas allow, nothing is copied for it, and
// leaders follow. Method: random clusters after a broker came and all leads of one were piled up.
TEST(PlanEven, PreferredLeadersEndUpEven) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    common::Random random(seed);
    ClusterModel cluster = random_cluster(random);
    const MoveLimits limits{.moves_max = static_cast<std::int32_t>(2 + random.below(20))};
    for (const PartitionKey& key : cluster.partitions()) {
      ReplicaSet target = cluster.image.assignment(key)->replicas;
      std::sort(target.begin(), target.end(),
                [](const Replica& a, const Replica& b) { return a.broker < b.broker; });
      if (target == cluster.image.assignment(key)->replicas) continue;
      cluster.commit(MoveStarted{key, target});
      cluster.commit(MoveCompleted{key, target});
    }
    cluster.settle();
    converge(cluster, limits);
    EXPECT_FALSE(leads_can_be_evened(cluster));
    for (int rounds = 0; rounds < 1000; ++rounds) {
      const auto transfers = plan_leaders(cluster.image, cluster.view, 0, 3);
      EXPECT_LE(transfers.size(), 3U);
      if (transfers.empty()) break;
      cluster.hand_over(transfers);
    }
    for (const PartitionKey& key : cluster.partitions()) {
      EXPECT_EQ(cluster.view.status(key)->leader,
                cluster.image.assignment(key)->replicas.front().broker);
    }
  }
}

// Goal: what somebody placed is not undone for evenness, and still leaves a broker that must be
// emptied. Method: a topic made on two brokers of three, and one moved there; then one of them
// drains.
TEST(PlanEven, WhatWasPlacedByHandStays) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  const Replicas two{BrokerId{0}, BrokerId{1}};
  cluster.commit(TopicCreated{.id = id_of(1, 50),
                              .name = "placed",
                              .partitions = {two, two, two, two},
                              .configs = {},
                              .by_hand = true});
  const PartitionKey moved{id_of(1, 51), PartitionIndex{0}};
  cluster.commit(TopicCreated{
      .id = moved.topic, .name = "moved", .partitions = {{BrokerId{2}}}, .configs = {}});
  cluster.settle();
  const auto decision = decide(
      cluster.image, ReassignPartition{.topic = "moved", .index = 0, .replicas = {{BrokerId{0}}}});
  ASSERT_TRUE(decision.ok());
  cluster.commit_all(decision->records);
  cluster.settle();
  converge(cluster, {});
  EXPECT_EQ(cluster.image.replicas_on(BrokerId{2}), 0);
  EXPECT_EQ(cluster.image.leads_on(BrokerId{0}), 5);
  EXPECT_TRUE(image_of(cluster.image.snapshot()) == cluster.image) << "a snapshot remembers it";
  cluster.commit(BrokerStateSet{BrokerId{0}, BrokerState::kDraining});
  converge(cluster, {});
  EXPECT_EQ(cluster.image.replicas_on(BrokerId{0}), 0);
  EXPECT_EQ(cluster.image.replicas_on(BrokerId{1}), 4) << "the others of them stay";
}

// Goal: where every broker has every partition, leads differ by one at most.
TEST(PlanEven, PreferredLeadersAreEvenWhereAllCanLead) {
  for (std::int32_t partitions = 1; partitions <= 20; ++partitions) {
    ClusterModel cluster;
    for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
    cluster.commit(TopicCreated{id_of(1, 50),
                                "t",
                                std::vector<Replicas>(static_cast<std::size_t>(partitions),
                                                      {BrokerId{1}, BrokerId{0}, BrokerId{2}}),
                                {}});
    cluster.settle();
    converge(cluster, {});
    EXPECT_LE(spread(cluster.leads()), 1);
  }
}

// Goal: a way over a third broker is found: broker 0 leads too much and shares only with 1, which
// shares with 2.
TEST(PlanEven, LeadsTravelOverOthers) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  const Replicas first{BrokerId{0}, BrokerId{1}};
  const Replicas second{BrokerId{1}, BrokerId{2}};
  cluster.commit(TopicCreated{id_of(1, 50), "t", {first, first, second}, {}});
  cluster.settle();
  const MoveLimits limits;
  MoveDraft draft(cluster.image, cluster.view, limits);
  even_preferred_leaders(draft);
  const MovePlan plan = draft.take();
  ASSERT_EQ(plan.actions.size(), 2U);
  EXPECT_EQ(plan.actions[0].reason, "broker 0 is preferred by 2 partitions, broker 2 by 0");
  cluster.run(plan);
  EXPECT_EQ(cluster.leads(), (std::vector<std::int64_t>{1, 1, 1}));
}

}  // namespace
}  // namespace millrace::metadata
