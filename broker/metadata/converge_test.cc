// The metadata machine, its planners and a world that follows them, all at random.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/metadata/replica_sets.h"
#include "broker/metadata/restart_permit.h"
#include "broker/metadata/testing/cluster_model.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::PartitionKey;
using testing::ClusterModel;
using testing::directory_of;
using testing::id_of;

constexpr std::int64_t kDead = 600'000;
constexpr CreationRules kRules{
    .default_partitions = 3, .default_replication_factor = 2, .partitions_per_shard_max = 100'000};

/// One run: what an operator, clients and faults do to a cluster, between the steps of the
/// planners.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    for (std::int32_t id = 0; id < 4; ++id) add_broker(id, 0);
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      now_ms_ += 1000;
      something_happens();
      if (random_.chance(2, 3)) plan();
      some_settle();
      check();
    }
  }

  /// All brokers come back, nobody asks for more: everything ends as it should be.
  void end() {
    for (auto& [id, health] : cluster_.view.brokers) health = {};
    for (int i = 0; i < 3000; ++i) {
      now_ms_ += 1000;
      cluster_.settle();
      confirm_removals();
      if (!plan()) break;
    }
    cluster_.settle();
    for (int i = 0; i < 100; ++i)
      cluster_.hand_over(plan_leaders(cluster_.image, cluster_.view, now_ms_, 5));
    EXPECT_TRUE(plan_moves(cluster_.image, cluster_.view, limits_).actions.empty());
    check();
    expect_whole();
  }

  int refused = 0;
  int permitted = 0;
  int whole = 0;

 private:
  void add_broker(std::int32_t id, std::int32_t disk) {
    const std::string rack = id % 4 == 3 ? "" : std::string(1, static_cast<char>('a' + id % 3));
    cluster_.add_broker(id, rack, disk);
  }

  template <typename Outcome>
  void decided(const Result<Decision<Outcome>>& decision) {
    if (!cluster_.commit_decision(decision)) ++refused;
  }

  BrokerId any_broker() {
    auto at = cluster_.image.brokers().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_.below(cluster_.image.brokers().size())));
    return at->first;
  }

  /// A name that is often there.
  std::string any_topic() { return fmt::format("t{}", random_.below(6)); }

  void something_happens() {
    switch (random_.below(14)) {
      case 0:
        return create_topic();
      case 1:
        return decided(decide(cluster_.image, DeleteTopic{any_topic(), {}}));
      case 2:
        return grow_topic();
      case 3:
        return decided(decide(cluster_.image, DrainBroker{any_broker()}));
      case 4:
        return decided(decide(cluster_.image, UndrainBroker{any_broker()}));
      case 5:
        return decommission();
      case 6:
      case 7:
        return reassign();
      case 8:
        return ask_for_permit();
      case 9:
        return fail();
      case 10:
        return come_back();
      case 11:
        return lose_disk();
      case 12:
        return join();
      default:
        return confirm_removals();
    }
  }

  void create_topic() {
    CreateTopic command{.name = any_topic(), .id = id_of(1, 1000 + ++topics_)};
    command.partitions = static_cast<std::int32_t>(1 + random_.below(6));
    command.replication_factor = static_cast<std::int16_t>(1 + random_.below(3));
    decided(decide(cluster_.image, command, kRules));
  }

  void grow_topic() {
    const auto topic = cluster_.image.topic(any_topic());
    if (topic == nullptr || topic->partition_count() > 12) return;
    decided(decide(cluster_.image,
                   CreatePartitions{.topic = topic->name, .count = topic->partition_count() + 2},
                   kRules));
  }

  void decommission() {
    const BrokerId id = any_broker();
    const common::Uuid directory = cluster_.image.brokers().at(id).directory;
    const auto decision = decide(cluster_.image, DecommissionBroker{id, directory});
    decided(decision);
    if (!decision.ok()) return;
    cluster_.view.brokers.erase(id);
    EXPECT_FALSE(cluster_.image.brokers().contains(id));
    EXPECT_EQ(cluster_.image.replicas_on(id), 0);
  }

  void reassign() {
    const auto topic = cluster_.image.topic(any_topic());
    if (topic == nullptr) return;
    ReassignPartition command{.topic = topic->name,
                              .index = static_cast<std::int32_t>(random_.below(
                                  static_cast<std::uint64_t>(topic->partition_count()))),
                              .replicas = std::nullopt};
    if (random_.chance(2, 3)) {
      Replicas& wanted = command.replicas.emplace();
      for (std::uint64_t count = 1 + random_.below(3); count > 0; --count) {
        const BrokerId id = any_broker();
        if (std::find(wanted.begin(), wanted.end(), id) == wanted.end()) wanted.push_back(id);
      }
    }
    decided(decide(cluster_.image, command));
  }

  void ask_for_permit() {
    const BrokerId id = any_broker();
    const PermitAnswer answer =
        restart_permit(cluster_.image, cluster_.view,
                       {id, cluster_.image.brokers().at(id).incarnation, now_ms_, 20'000});
    permitted += answer.granted ? 1 : 0;
    cluster_.commit_all(answer.records);
  }

  /// Mostly for a while, sometimes for good.
  void fail() {
    BrokerHealth& health = cluster_.view.brokers.at(any_broker());
    health.silent_ms = random_.chance(1, 3) ? kDead : 5000;
  }

  void come_back() {
    const BrokerId id = any_broker();
    restart(id, cluster_.image.brokers().at(id).directory);
  }

  void lose_disk() {
    const BrokerId id = any_broker();
    if (cluster_.view.alive(id) || !random_.chance(1, 2)) return;
    restart(id, directory_of(id.value(), ++disks_));
  }

  void restart(BrokerId id, const common::Uuid& directory) {
    Broker broker = cluster_.image.brokers().at(id);
    const std::int64_t before = broker.epoch;
    broker.directory = directory;
    broker.incarnation = id_of(4, ++processes_);
    decided(decide(cluster_.image, RegisterBroker{broker}));
    EXPECT_EQ(cluster_.image.brokers().at(id).epoch, before + 1);
    cluster_.view.brokers[id] = {};
  }

  void join() {
    const auto id = static_cast<std::int32_t>(random_.below(9));
    if (cluster_.image.brokers().contains(BrokerId{id})) return;
    add_broker(id, 100 + ++disks_);
  }

  void confirm_removals() {
    const auto removing = cluster_.image.removing();
    for (const auto& [topic, rest] : removing) {
      for (const BrokerId id : rest.waiting_for)
        cluster_.commit_all(decide(cluster_.image, ConfirmRemoval{topic, id}).records);
    }
  }

  /// True: there was something to do.
  bool plan() {
    const MovePlan plan = plan_moves(cluster_.image, cluster_.view, limits_);
    cluster_.run(plan);
    cluster_.hand_over(plan_leaders(cluster_.image, cluster_.view, now_ms_, 5));
    const auto lapsed = permits_due(cluster_.image, cluster_.view, now_ms_);
    cluster_.commit_all(lapsed);
    return !plan.actions.empty() || !lapsed.empty() || !cluster_.image.permits().empty();
  }

  void some_settle() {
    for (const PartitionKey& key : cluster_.partitions()) {
      if (random_.chance(1, 2)) cluster_.settle(key);
    }
    std::erase_if(cluster_.view.partitions, [this](const auto& entry) {
      return entry.first.topic != model::kMetadataTopicId &&
             cluster_.image.assignment(entry.first) == nullptr;
    });
  }

  /// What holds always.
  void check() {
    EXPECT_EQ(cluster_.image.rejected(), 0U) << cluster_.image.last_rejection();
    Image copy;
    for (const Record& record : cluster_.image.snapshot())
      EXPECT_TRUE(copy.apply_bytes(encode(record))) << copy.last_rejection();
    EXPECT_TRUE(copy == cluster_.image);
    std::map<BrokerId, std::int64_t> counted;
    for (const PartitionKey& key : cluster_.partitions()) {
      const PartitionAssignment& assignment = *cluster_.image.assignment(key);
      EXPECT_FALSE(assignment.replicas.empty());
      for (const Replica& replica : assignment.replicas) ++counted[replica.broker];
      for (const Replica& replica : assignment.target) {
        counted[replica.broker] += holds(assignment.replicas, replica.broker) ? 0 : 1;
      }
    }
    for (const auto& [id, broker] : cluster_.image.brokers())
      EXPECT_EQ(cluster_.image.replicas_on(id), counted[id]);
  }

  void expect_whole() {
    const MovePlan last = plan_moves(cluster_.image, cluster_.view, limits_);
    for (const PartitionKey& key : cluster_.partitions()) {
      // What lost a majority of its disks stays as it is, and is said.
      EXPECT_TRUE(cluster_.view.status(key)->leader.has_value() || !last.blockers.empty());
    }
    if (!last.blockers.empty()) return;
    ++whole;
    for (const PartitionKey& key : cluster_.partitions()) {
      const PartitionAssignment& assignment = *cluster_.image.assignment(key);
      EXPECT_FALSE(assignment.moving());
      EXPECT_TRUE(same_members(cluster_.view.status(key)->voters, assignment.replicas));
      for (const Replica& replica : assignment.replicas) {
        EXPECT_TRUE(cluster_.alive(replica));
        EXPECT_EQ(cluster_.image.state(replica.broker), BrokerState::kActive);
      }
      EXPECT_EQ(cluster_.view.status(key)->leader, assignment.replicas.front().broker);
    }
    for (const auto& [id, broker] : cluster_.image.brokers())
      EXPECT_NE(cluster_.image.state(id), BrokerState::kDraining);
    EXPECT_TRUE(cluster_.image.permits().empty());
  }

  common::Random random_;
  ClusterModel cluster_;
  MoveLimits limits_{.dead_after_ms = kDead, .moves_max = 6, .moves_to_broker_max = 3};
  std::int64_t now_ms_ = 1'000'000;
  std::int32_t topics_ = 0;
  std::int32_t disks_ = 0;
  std::int32_t processes_ = 0;
};

// Goal: whatever is asked for and whatever breaks, no record that was decided is refused by an
// image, snapshots carry everything, and afterwards the cluster comes to rest as it was wished for.
TEST(Converge, AnyHistoryComesToRest) {
  int whole = 0;
  int refused = 0;
  int permitted = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.run(120);
    world.end();
    whole += world.whole;
    refused += world.refused;
    permitted += world.permitted;
  }
  EXPECT_GT(whole, 30) << "too few runs ended without lost partitions to say much";
  EXPECT_GT(refused, 500);
  EXPECT_GT(permitted, 100);
}

// Goal: records of a cluster change nothing below the level at which all brokers know them: images
// of old and new brokers stay equal. Method: one of each kind, told to an image before and after
// its level is raised.
TEST(Converge, BelowItsLevelARecordIsRefusedByAll) {
  ClusterModel cluster;
  for (std::int32_t id = 0; id < 3; ++id) cluster.add_broker(id, "");
  ASSERT_TRUE(cluster.add_topic("t", 4, 2));
  const PartitionKey key = cluster.partitions().front();
  const ReplicaSet target{{BrokerId{2}, directory_of(2)}};
  const std::vector<Record> records{
      BrokerStateSet{BrokerId{0}, BrokerState::kDraining},
      BrokerDecommissioned{BrokerId{9}, id_of(9, 9), 1},
      MoveStarted{key, target},
      AssignmentSet{key, target, {}},
      PermitGranted{BrokerId{1}, id_of(3, 2), 77},
  };
  Image low;
  for (const Record& record : cluster.image.snapshot()) {
    if (!std::holds_alternative<FeatureLevelSet>(record)) low.apply(record);
  }
  const Image before = low;
  std::uint64_t refused = low.rejected();
  for (const Record& record : records) {
    EXPECT_TRUE(level_of(record) == kClusterLevel) << describe(record);
    EXPECT_FALSE(low.apply(record)) << describe(record);
    EXPECT_EQ(low.rejected(), ++refused);
    EXPECT_TRUE(low == before);
    cluster.commit(record);
  }
  ASSERT_TRUE(low.apply(FeatureLevelSet{kClusterLevel}));
  for (const Record& record : records) EXPECT_TRUE(low.apply(record)) << low.last_rejection();
  EXPECT_TRUE(low == cluster.image) << "raised late or early, the same in the end";
}

}  // namespace
}  // namespace millrace::metadata
