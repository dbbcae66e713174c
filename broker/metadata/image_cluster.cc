// What an image does with the records of a cluster: states of brokers, moves, permits.
#include <algorithm>
#include <utility>

#include "broker/metadata/image.h"
#include "broker/metadata/replica_sets.h"
#include "common/check.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;

/// nullopt: these can be the replicas of a partition.
std::optional<std::string> flaw_of(const ReplicaSet& replicas) {
  if (replicas.empty()) return "a partition has no replica";
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    if (replicas[i].broker < BrokerId{0}) return "a broker id is negative";
    for (std::size_t j = 0; j < i; ++j) {
      if (replicas[i].broker == replicas[j].broker) return "a broker holds a partition twice";
    }
  }
  return std::nullopt;
}

bool known(BrokerState state) {
  return state == BrokerState::kActive || state == BrokerState::kDraining ||
         state == BrokerState::kDrained;
}

}  // namespace

Image::Rejection Image::on(const FeatureLevelSet& record) {
  if (record.level < feature_level_) return "the feature level never falls";
  const bool becomes_cluster = feature_level_ < kClusterLevel && record.level >= kClusterLevel;
  feature_level_ = record.level;
  if (!becomes_cluster) return std::nullopt;
  // Directories are not told apart below that level, so that a snapshot needs no record above it.
  for (auto& [name, topic] : by_name_) {
    Topic settled = *topic;
    for (std::size_t i = 0; i < settled.partitions.size(); ++i)
      settled.assignments[i] = resolved(settled.partitions[i]);
    topic = std::make_shared<const Topic>(std::move(settled));
    by_id_[topic->id] = topic;
  }
  return std::nullopt;
}

Image::Rejection Image::on(const BrokerStateSet& record) {
  if (!brokers_.contains(record.broker)) return "no such broker";
  if (!known(record.state)) return "the state is not known";
  if (record.state == BrokerState::kActive) {
    states_.erase(record.broker);
  } else {
    states_[record.broker] = record.state;
  }
  return std::nullopt;
}

Image::Rejection Image::on(const BrokerDecommissioned& record) {
  if (receipts_.contains(record.directory)) return "the directory was decommissioned before";
  const auto broker = brokers_.find(record.broker);
  if (broker != brokers_.end() && broker->second.directory == record.directory) {
    if (state(record.broker) != BrokerState::kDrained) return "the broker is not drained";
    if (replicas_on(record.broker) != 0) return "the broker holds replicas";
    brokers_.erase(broker);
    states_.erase(record.broker);
    permits_.erase(record.broker);
  }
  receipts_[record.directory] = {record.broker, record.directory, record.epoch};
  return std::nullopt;
}

Image::Rejection Image::on(const MoveStarted& record) {
  const PartitionAssignment* const old = assignment(record.partition);
  if (old == nullptr) return "no such partition";
  if (auto flaw = flaw_of(record.target)) return flaw;
  if (record.target == old->replicas) return "the replicas are there already";
  put_assignment(record.partition, {.replicas = old->replicas,
                                    .target = record.target,
                                    .by_hand = old->by_hand,
                                    .target_by_hand = record.by_hand,
                                    .moved = old->moved});
  return std::nullopt;
}

Image::Rejection Image::on(const MoveCompleted& record) {
  const PartitionAssignment* const old = assignment(record.partition);
  if (old == nullptr) return "no such partition";
  if (!old->moving() || old->target != record.target) return "no such move is under way";
  put_assignment(record.partition,
                 {.replicas = record.target,
                  .target = {},
                  .by_hand = old->target_by_hand,
                  .moved = old->moved || !same_members(old->replicas, record.target)});
  return std::nullopt;
}

Image::Rejection Image::on(const MoveCancelled& record) {
  const PartitionAssignment* const old = assignment(record.partition);
  if (old == nullptr) return "no such partition";
  if (!old->moving()) return "no move is under way";
  put_assignment(
      record.partition,
      {.replicas = old->replicas, .target = {}, .by_hand = old->by_hand, .moved = old->moved});
  return std::nullopt;
}

Image::Rejection Image::on(const AssignmentSet& record) {
  if (assignment(record.partition) == nullptr) return "no such partition";
  // The brokers themselves may be odd: they are what TopicCreated once said.
  if (record.replicas.empty()) return "a partition has no replica";
  if (!record.target.empty()) {
    if (auto flaw = flaw_of(record.target)) return flaw;
  }
  put_assignment(record.partition, {.replicas = record.replicas,
                                    .target = record.target,
                                    .by_hand = record.by_hand,
                                    .target_by_hand = record.target_by_hand,
                                    .moved = record.moved});
  return std::nullopt;
}

Image::Rejection Image::on(const PermitGranted& record) {
  if (!brokers_.contains(record.broker)) return "no such broker";
  permits_[record.broker] = {record.incarnation, record.expires_at_ms, record.lasts_ms};
  return std::nullopt;
}

Image::Rejection Image::on(const PermitEnded& record) {
  const auto permit = permits_.find(record.broker);
  if (permit == permits_.end() || permit->second.incarnation != record.incarnation)
    return "no such permit";
  permits_.erase(permit);
  return std::nullopt;
}

Image::Rejection Image::on(const SnapshotPart&) {
  return "it is a mark in the log, and no state";
}

PartitionAssignment Image::resolved(const Replicas& replicas) const {
  PartitionAssignment assignment;
  assignment.replicas.reserve(replicas.size());
  for (const BrokerId id : replicas) {
    Replica& replica = assignment.replicas.emplace_back(Replica{.broker = id, .directory = {}});
    const auto broker = brokers_.find(id);
    if (feature_level_ >= kClusterLevel && broker != brokers_.end())
      replica.directory = broker->second.directory;
  }
  return assignment;
}

void Image::put_assignment(const model::PartitionKey& partition, PartitionAssignment assignment) {
  const auto old = topic(partition.topic);
  CHECK(old != nullptr);
  Topic altered = *old;
  const auto at = static_cast<std::size_t>(partition.index.value());
  CHECK(at < altered.assignments.size());
  CHECK(altered.assignments.size() == altered.partitions.size());
  count_partition(altered.assignments[at], -1);
  count_partition(assignment, 1);
  altered.partitions[at].clear();
  for (const Replica& replica : assignment.replicas)
    altered.partitions[at].push_back(replica.broker);
  altered.assignments[at] = std::move(assignment);
  put(std::make_shared<const Topic>(std::move(altered)));
}

void Image::count_partition(const PartitionAssignment& assignment, std::int64_t sign) {
  CHECK(!assignment.replicas.empty());
  partition_total_ += sign;
  if (assignment.moving()) moving_total_ += sign;
  const auto count = [sign](std::map<BrokerId, std::int64_t>& counts, BrokerId broker) {
    std::int64_t& value = counts[broker];
    value += sign;
    CHECK(value >= 0, "broker {} counts {} replicas", broker, value);
    if (value == 0) counts.erase(broker);
  };
  for (const Replica& replica : assignment.replicas) count(replicas_on_, replica.broker);
  for (const Replica& replica : assignment.target) {
    const auto stays = std::any_of(
        assignment.replicas.begin(), assignment.replicas.end(),
        [&replica](const Replica& present) { return present.broker == replica.broker; });
    if (!stays) count(replicas_on_, replica.broker);
  }
  const ReplicaSet& wanted = assignment.moving() ? assignment.target : assignment.replicas;
  count(leads_on_, wanted.front().broker);
}

std::int64_t Image::replicas_on(BrokerId broker) const {
  const auto found = replicas_on_.find(broker);
  return found == replicas_on_.end() ? 0 : found->second;
}

std::int64_t Image::leads_on(BrokerId broker) const {
  const auto found = leads_on_.find(broker);
  return found == leads_on_.end() ? 0 : found->second;
}

const PartitionAssignment* Image::assignment(const model::PartitionKey& partition) const {
  const auto found = by_id_.find(partition.topic);
  const std::int32_t index = partition.index.value();
  if (found == by_id_.end() || index < 0 || index >= found->second->partition_count())
    return nullptr;
  return &found->second->assignments[static_cast<std::size_t>(index)];
}

BrokerState Image::state(BrokerId broker) const {
  const auto found = states_.find(broker);
  return found == states_.end() ? BrokerState::kActive : found->second;
}

}  // namespace millrace::metadata
