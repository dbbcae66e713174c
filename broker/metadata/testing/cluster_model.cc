#include "broker/metadata/testing/cluster_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "broker/metadata/replica_sets.h"
#include "common/check.h"

namespace millrace::metadata::testing {

using model::BrokerId;
using model::PartitionKey;

namespace {

constexpr PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};
constexpr CreationRules kRules{
    .default_partitions = 1, .default_replication_factor = 1, .partitions_per_shard_max = 100'000};

}  // namespace

common::Uuid id_of(std::uint8_t kind, std::int32_t number) {
  common::Uuid id;
  id.bytes[0] = kind;
  id.bytes[14] = static_cast<std::uint8_t>(number >> 8);
  id.bytes[15] = static_cast<std::uint8_t>(number);
  return id;
}

common::Uuid directory_of(std::int32_t broker, std::int32_t disk) {
  return id_of(2, broker + 256 * disk);
}

ClusterModel::ClusterModel(std::int32_t level) {
  if (level > 0) commit(FeatureLevelSet{level});
  view.partitions[kMetadataKey] = {};
}

void ClusterModel::commit(const Record& record) {
  CHECK(image.apply(record), "{}", image.last_rejection());
}

void ClusterModel::commit_all(const std::vector<Record>& records) {
  for (const Record& record : records) commit(record);
}

void ClusterModel::run(const MovePlan& plan) {
  for (const PlannedRecord& action : plan.actions) commit(action.record);
}

void ClusterModel::add_broker(std::int32_t id, const std::string& rack, std::int32_t disk) {
  const Broker broker{.id = BrokerId{id},
                      .directory = directory_of(id, disk),
                      .endpoints = {{.name = "kafka", .host = "h", .port = 9092}},
                      .rack = rack,
                      .shards = 1,
                      .incarnation = id_of(3, ++processes_started_),
                      .epoch = 0,
                      .level_min = 0,
                      .level_max = kClusterLevel};
  CHECK(commit_decision(decide(image, RegisterBroker{broker})));
  view.brokers[broker.id] = {};
}

bool ClusterModel::add_topic(const std::string& name, std::int32_t partitions,
                             std::int16_t factor) {
  CreateTopic command{.name = name, .id = id_of(1, ++topics_made_)};
  command.partitions = partitions;
  command.replication_factor = factor;
  if (!commit_decision(decide(image, command, kRules))) return false;
  settle();
  return true;
}

bool ClusterModel::alive(const Replica& replica) const {
  const auto broker = image.brokers().find(replica.broker);
  return view.alive(replica.broker) && broker != image.brokers().end() &&
         broker->second.directory == replica.directory;
}

std::int64_t ClusterModel::alive_of(const ReplicaSet& replicas) const {
  return std::count_if(replicas.begin(), replicas.end(),
                       [this](const Replica& replica) { return alive(replica); });
}

void ClusterModel::settle(const PartitionKey& key) {
  const PartitionAssignment& assignment = *image.assignment(key);
  const bool made = !view.partitions.contains(key);
  PartitionStatus& status = view.partitions[key];
  const ReplicaSet& wanted = assignment.moving() ? assignment.target : assignment.replicas;
  if (made) status.voters = wanted;
  const auto has_majority = [this](const ReplicaSet& voters) {
    return std::cmp_greater(alive_of(voters) * 2, voters.size());
  };
  if (has_majority(status.voters) && has_majority(wanted)) status.voters = wanted;
  status.caught_up.clear();
  for (const Replica& voter : status.voters) {
    if (alive(voter)) status.caught_up.push_back(voter);
  }
  if (!has_majority(status.voters)) {
    status.caught_up.clear();
    status.leader.reset();
  } else if (!status.leader || !holds(status.caught_up, *status.leader)) {
    status.leader = status.caught_up.front().broker;
  }
  const auto size = sizes.find(key);
  status.bytes = size == sizes.end() ? 1000 : size->second;
}

void ClusterModel::settle() {
  std::erase_if(view.partitions, [this](const auto& entry) {
    return entry.first != kMetadataKey && image.assignment(entry.first) == nullptr;
  });
  for (const PartitionKey& key : partitions()) settle(key);
}

void ClusterModel::hand_over(const std::vector<LeaderTransfer>& transfers) {
  for (const LeaderTransfer& transfer : transfers) {
    PartitionStatus& status = view.partitions.at(transfer.partition);
    CHECK(status.leader == transfer.from);
    CHECK(holds(status.caught_up, transfer.to));
    status.leader = transfer.to;
  }
}

std::vector<PartitionKey> ClusterModel::partitions() const {
  std::vector<PartitionKey> keys;
  for (const auto& [name, topic] : image.topics()) {
    for (std::int32_t index = 0; index < topic->partition_count(); ++index)
      keys.push_back({topic->id, model::PartitionIndex{index}});
  }
  return keys;
}

std::int64_t ClusterModel::racks_of(const ReplicaSet& replicas) const {
  std::set<std::string> racks;
  for (const Replica& replica : replicas) {
    const auto broker = image.brokers().find(replica.broker);
    const std::string rack = broker == image.brokers().end() ? "" : broker->second.rack;
    racks.insert(rack.empty() ? fmt::format("of broker {}", replica.broker) : rack);
  }
  return static_cast<std::int64_t>(racks.size());
}

std::vector<std::int64_t> ClusterModel::counts() const {
  std::vector<std::int64_t> all;
  for (const auto& [id, broker] : image.brokers()) {
    if (image.state(id) == BrokerState::kActive) all.push_back(image.replicas_on(id));
  }
  return all;
}

std::vector<std::int64_t> ClusterModel::leads() const {
  std::vector<std::int64_t> all;
  for (const auto& [id, broker] : image.brokers()) {
    if (image.state(id) == BrokerState::kActive) all.push_back(image.leads_on(id));
  }
  return all;
}

std::vector<std::int64_t> ClusterModel::bytes() const {
  std::map<BrokerId, std::int64_t> by_broker;
  for (const auto& [id, broker] : image.brokers()) {
    if (image.state(id) == BrokerState::kActive) by_broker[id] = 0;
  }
  for (const PartitionKey& key : partitions()) {
    for (const Replica& replica : image.assignment(key)->replicas)
      by_broker[replica.broker] += view.status(key)->bytes;
  }
  std::vector<std::int64_t> all;
  for (const auto& [id, bytes] : by_broker) all.push_back(bytes);
  return all;
}

ClusterModel random_cluster(common::Random& random) {
  ClusterModel cluster;
  const auto racks = static_cast<std::int32_t>(random.below(4));
  const auto brokers = static_cast<std::int32_t>(3 + random.below(6));
  for (std::int32_t id = 0; id < brokers; ++id)
    cluster.add_broker(id, racks == 0 ? "" : std::string(1, static_cast<char>('a' + id % racks)));
  for (std::uint64_t topics = 1 + random.below(5); topics > 0; --topics) {
    CHECK(cluster.add_topic(fmt::format("t{}", topics),
                            static_cast<std::int32_t>(1 + random.below(20)),
                            static_cast<std::int16_t>(1 + random.below(3))));
  }
  return cluster;
}

std::int64_t spread(const std::vector<std::int64_t>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return values.empty() ? 0 : *high - *low;
}

}  // namespace millrace::metadata::testing
