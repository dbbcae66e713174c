#include "broker/metadata/restart_permit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "broker/metadata/replica_sets.h"
#include "broker/metadata/testing/cluster_model.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::PartitionKey;
using testing::ClusterModel;
using testing::id_of;
using testing::random_cluster;

constexpr std::int64_t kNow = 1000;
constexpr std::int64_t kLasts = 5000;

PermitRequest request_of(const ClusterModel& cluster, BrokerId id) {
  return {id, cluster.image.brokers().at(id).incarnation, kNow, kLasts};
}

/// Voters that are there, caught up and may not stop, besides `leaving`.
std::int64_t left(const ClusterModel& cluster, const PartitionStatus& status, BrokerId leaving) {
  return std::count_if(status.voters.begin(), status.voters.end(), [&](const Replica& voter) {
    const auto permit = cluster.image.permits().find(voter.broker);
    const bool may_stop =
        permit != cluster.image.permits().end() && permit->second.expires_at_ms > kNow;
    return voter.broker != leaving && !may_stop && cluster.view.alive(voter.broker) &&
           status.leader.has_value() && contains(status.caught_up, voter);
  });
}

/// A majority and min.insync.replicas, but one may always be missing.
std::int64_t needed(const PartitionStatus& status) {
  const auto voters = static_cast<std::int64_t>(status.voters.size());
  return std::min(std::max(voters / 2 + 1, std::int64_t{status.insync_min}), voters - 1);
}

/// Brokers that are silent, replicas that lag, partitions without leader or not known at all,
/// permits that are there already.
ClusterModel random_trouble(common::Random& random) {
  ClusterModel cluster = random_cluster(random);
  for (auto& [id, health] : cluster.view.brokers) {
    if (random.chance(1, 8)) health.silent_ms = 3000;
  }
  cluster.settle();
  std::erase_if(cluster.view.partitions, [&](const auto& entry) {
    return entry.first.topic != model::kMetadataTopicId && random.chance(1, 200);
  });
  for (auto& [key, status] : cluster.view.partitions) {
    status.insync_min = static_cast<std::int32_t>(1 + random.below(3));
    if (random.chance(1, 40) && !status.caught_up.empty()) status.caught_up.pop_back();
    if (random.chance(1, 200)) status.leader.reset();
  }
  for (const auto& [id, broker] : cluster.image.brokers()) {
    if (!random.chance(1, 10)) continue;
    cluster.commit(
        PermitGranted{id, broker.incarnation, random.chance(1, 2) ? kNow + 1 : kNow - 1});
  }
  return cluster;
}

// Goal: permits, however many, never take a partition below what it needs, in any state; and one is
// refused only with a partition that shows why. Method: random states; every broker asks.
TEST(RestartPermit, NeverTakesAPartitionBelowWhatItNeeds) {
  int granted = 0;
  int refused = 0;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    common::Random random(seed);
    ClusterModel cluster = random_trouble(random);
    const auto brokers = cluster.image.brokers();
    for (const auto& [id, broker] : brokers) {
      const auto held = cluster.image.permits().find(id);
      if (held != cluster.image.permits().end() && held->second.expires_at_ms > kNow) continue;
      const PermitAnswer answer =
          restart_permit(cluster.image, cluster.view, request_of(cluster, id));
      EXPECT_EQ(answer.granted, answer.blockers.empty());
      EXPECT_LE(answer.blockers.size(), kBlockersMax);
      EXPECT_EQ(answer.granted, answer.blocked_partitions == 0);
      ++(answer.granted ? granted : refused);
      std::int64_t below = 0;
      for (const PartitionKey& key : cluster.partitions()) {
        const PartitionStatus* const status = cluster.view.status(key);
        if (status == nullptr) {
          below += holds(cluster.image.assignment(key)->replicas, id) ? 1 : 0;
        } else if (holds(status->voters, id)) {
          below += left(cluster, *status, id) < needed(*status) ? 1 : 0;
        }
      }
      EXPECT_EQ(answer.blocked_partitions, below);
      for (const PermitBlocker& blocker : answer.blockers) EXPECT_LT(blocker.left, blocker.needed);
      cluster.commit_all(answer.records);
    }
  }
  EXPECT_GT(granted, 200);
  EXPECT_GT(refused, 200);
}

// Goal: in a healthy cluster of three one may always stop, then no other, until it is back.
TEST(RestartPermit, OneAfterTheOther) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  ASSERT_TRUE(cluster.add_topic("t", 10, 3));
  const auto ask = [&](std::int32_t id) {
    return restart_permit(cluster.image, cluster.view, request_of(cluster, BrokerId{id}));
  };
  const PermitAnswer first = ask(0);
  ASSERT_TRUE(first.granted);
  cluster.commit_all(first.records);
  EXPECT_TRUE(ask(0).granted) << "asked again, the same";
  EXPECT_TRUE(ask(0).records.empty());
  EXPECT_FALSE(ask(1).granted);
  // The next process of it is there, and replays.
  cluster.add_broker(0, "");
  cluster.view.brokers[BrokerId{0}].recovered = false;
  cluster.settle();
  EXPECT_TRUE(permits_due(cluster.image, cluster.view, kNow).empty());
  cluster.view.brokers[BrokerId{0}].recovered = true;
  const auto lapsed = permits_due(cluster.image, cluster.view, kNow);
  ASSERT_EQ(lapsed.size(), 1U);
  cluster.commit_all(lapsed);
  EXPECT_TRUE(ask(1).granted);
}

// Goal: whole racks roll together where every partition is spread over three of them.
TEST(RestartPermit, AWholeRackMayStopTogether) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 9; ++id)
    cluster.add_broker(id, std::string(1, static_cast<char>('a' + id % 3)));
  ASSERT_TRUE(cluster.add_topic("t", 30, 3));
  for (std::int32_t id = 0; id < 9; ++id) {
    const PermitAnswer answer =
        restart_permit(cluster.image, cluster.view, request_of(cluster, BrokerId{id}));
    EXPECT_EQ(answer.granted, id % 3 == 0) << "broker " << id;
    cluster.commit_all(answer.records);
  }
}

// Goal: nothing is given while the metadata log's own state is not known, nor for another process.
TEST(RestartPermit, NotForTheUnknown) {
  ClusterModel cluster;
  cluster.add_broker(0, "");
  PermitRequest request = request_of(cluster, BrokerId{0});
  EXPECT_TRUE(restart_permit(cluster.image, cluster.view, request).granted);
  cluster.view.partitions.clear();
  const PermitAnswer blind = restart_permit(cluster.image, cluster.view, request);
  EXPECT_FALSE(blind.granted);
  ASSERT_EQ(blind.blockers.size(), 1U);
  EXPECT_EQ(blind.blockers[0].partition.topic, model::kMetadataTopicId);
  request.incarnation = id_of(3, 99);
  EXPECT_EQ(restart_permit(cluster.image, cluster.view, request).refusal,
            "broker 0 was restarted since");
  request.broker = BrokerId{7};
  EXPECT_EQ(restart_permit(cluster.image, cluster.view, request).refusal,
            "broker 7 is not registered");
}

// Goal: a permit lapses with its time, not before.
TEST(RestartPermit, LapsesWithItsTime) {
  ClusterModel cluster;
  cluster.add_broker(0, "");
  cluster.commit_all(
      restart_permit(cluster.image, cluster.view, request_of(cluster, BrokerId{0})).records);
  EXPECT_TRUE(permits_due(cluster.image, cluster.view, kNow + kLasts - 1).empty());
  EXPECT_EQ(permits_due(cluster.image, cluster.view, kNow + kLasts).size(), 1U);
}

}  // namespace
}  // namespace millrace::metadata
