#include "broker/metadata/cluster_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::metadata {
namespace {

namespace pb = ::millrace::internal;
using model::BrokerId;
using model::PartitionIndex;
using model::PartitionKey;

void put_replicas(const ReplicaSet& from, ::google::protobuf::RepeatedPtrField<pb::Replica>& to) {
  for (const Replica& replica : from) {
    pb::Replica* const one = to.Add();
    one->set_broker(replica.broker.value());
    if (!replica.directory.is_zero()) one->set_directory(bytes_of(replica.directory));
  }
}

std::optional<ReplicaSet> replicas_of(
    const ::google::protobuf::RepeatedPtrField<pb::Replica>& from) {
  ReplicaSet replicas;
  replicas.reserve(static_cast<std::size_t>(from.size()));
  for (const pb::Replica& one : from) {
    const auto directory = perhaps_uuid_of(one.directory());
    if (!directory) return std::nullopt;
    replicas.push_back({.broker = BrokerId{one.broker()}, .directory = *directory});
  }
  return replicas;
}

template <typename Message>
void put_partition(const PartitionKey& partition, Message& to) {
  to.set_topic(bytes_of(partition.topic));
  to.set_partition(partition.index.value());
}

template <typename Message>
std::optional<PartitionKey> partition_of(const Message& from) {
  const auto topic = uuid_of(from.topic());
  if (!topic) return std::nullopt;
  return PartitionKey{.topic = *topic, .index = PartitionIndex{from.partition()}};
}

std::string text_of(const PartitionKey& partition) {
  return fmt::format("partition={}/{}", partition.topic, partition.index);
}

/// "1,2,3": the brokers; the directories would hide them.
std::string text_of(const ReplicaSet& replicas) {
  std::string text;
  for (const Replica& replica : replicas) {
    if (!text.empty()) text += ',';
    text += fmt::format("{}", replica.broker);
  }
  return text.empty() ? "none" : text;
}

std::string_view name_of(BrokerState state) {
  switch (state) {
    case BrokerState::kActive:
      return "active";
    case BrokerState::kDraining:
      return "draining";
    case BrokerState::kDrained:
      return "drained";
  }
  return "unknown";
}

}  // namespace

std::string bytes_of(const common::Uuid& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
}

std::optional<common::Uuid> uuid_of(const std::string& bytes) {
  common::Uuid id;
  if (bytes.size() != id.bytes.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(id.bytes.data()));
  return id;
}

std::optional<common::Uuid> perhaps_uuid_of(const std::string& bytes) {
  return bytes.empty() ? common::Uuid{} : uuid_of(bytes);
}

void put(const BrokerStateSet& record, pb::MetadataRecord& out) {
  out.mutable_broker_state_set()->set_broker(record.broker.value());
  out.mutable_broker_state_set()->set_state(static_cast<std::int32_t>(record.state));
}
std::optional<Record> read(const pb::BrokerStateSet& from) {
  // Whether the state is a known one is for the image to say: any number is carried.
  if (from.state() < INT8_MIN || from.state() > INT8_MAX) return std::nullopt;
  return BrokerStateSet{BrokerId{from.broker()}, static_cast<BrokerState>(from.state())};
}

void put(const BrokerDecommissioned& record, pb::MetadataRecord& out) {
  pb::BrokerDecommissioned& to = *out.mutable_broker_decommissioned();
  to.set_broker(record.broker.value());
  to.set_directory(bytes_of(record.directory));
  to.set_epoch(record.epoch);
}
std::optional<Record> read(const pb::BrokerDecommissioned& from) {
  const auto directory = uuid_of(from.directory());
  if (!directory) return std::nullopt;
  return BrokerDecommissioned{BrokerId{from.broker()}, *directory, from.epoch()};
}

void put(const MoveStarted& record, pb::MetadataRecord& out) {
  put_partition(record.partition, *out.mutable_move_started());
  put_replicas(record.target, *out.mutable_move_started()->mutable_target());
  out.mutable_move_started()->set_by_hand(record.by_hand);
}
std::optional<Record> read(const pb::MoveStarted& from) {
  const auto partition = partition_of(from);
  auto target = replicas_of(from.target());
  if (!partition || !target) return std::nullopt;
  return MoveStarted{*partition, *std::move(target), from.by_hand()};
}

void put(const MoveCompleted& record, pb::MetadataRecord& out) {
  put_partition(record.partition, *out.mutable_move_completed());
  put_replicas(record.target, *out.mutable_move_completed()->mutable_target());
}
std::optional<Record> read(const pb::MoveCompleted& from) {
  const auto partition = partition_of(from);
  auto target = replicas_of(from.target());
  if (!partition || !target) return std::nullopt;
  return MoveCompleted{*partition, *std::move(target)};
}

void put(const MoveCancelled& record, pb::MetadataRecord& out) {
  put_partition(record.partition, *out.mutable_move_cancelled());
}
std::optional<Record> read(const pb::MoveCancelled& from) {
  const auto partition = partition_of(from);
  if (!partition) return std::nullopt;
  return MoveCancelled{*partition};
}

void put(const AssignmentSet& record, pb::MetadataRecord& out) {
  pb::AssignmentSet& to = *out.mutable_assignment_set();
  put_partition(record.partition, to);
  put_replicas(record.replicas, *to.mutable_replicas());
  put_replicas(record.target, *to.mutable_target());
  to.set_by_hand(record.by_hand);
  to.set_target_by_hand(record.target_by_hand);
  to.set_moved(record.moved);
}
std::optional<Record> read(const pb::AssignmentSet& from) {
  const auto partition = partition_of(from);
  auto replicas = replicas_of(from.replicas());
  auto target = replicas_of(from.target());
  if (!partition || !replicas || !target) return std::nullopt;
  return AssignmentSet{.partition = *partition,
                       .replicas = *std::move(replicas),
                       .target = *std::move(target),
                       .by_hand = from.by_hand(),
                       .target_by_hand = from.target_by_hand(),
                       .moved = from.moved()};
}

void put(const PermitGranted& record, pb::MetadataRecord& out) {
  pb::PermitGranted& to = *out.mutable_permit_granted();
  to.set_broker(record.broker.value());
  to.set_incarnation(bytes_of(record.incarnation));
  to.set_expires_at(record.expires_at_ms);
  to.set_lasts(record.lasts_ms);
}
std::optional<Record> read(const pb::PermitGranted& from) {
  const auto incarnation = uuid_of(from.incarnation());
  if (!incarnation) return std::nullopt;
  return PermitGranted{BrokerId{from.broker()}, *incarnation, from.expires_at(), from.lasts()};
}

void put(const PermitEnded& record, pb::MetadataRecord& out) {
  out.mutable_permit_ended()->set_broker(record.broker.value());
  out.mutable_permit_ended()->set_incarnation(bytes_of(record.incarnation));
}
std::optional<Record> read(const pb::PermitEnded& from) {
  const auto incarnation = uuid_of(from.incarnation());
  if (!incarnation) return std::nullopt;
  return PermitEnded{BrokerId{from.broker()}, *incarnation};
}

void put(const SnapshotPart& record, pb::MetadataRecord& out) {
  pb::SnapshotPart& to = *out.mutable_snapshot_part();
  to.set_at(record.at.value());
  to.set_part(record.part);
  to.set_parts(record.parts);
}
std::optional<Record> read(const pb::SnapshotPart& from) {
  return SnapshotPart{model::Offset{from.at()}, from.part(), from.parts()};
}

std::string describe_cluster(const BrokerStateSet& record) {
  return fmt::format("broker-state-set id={} state={}", record.broker, name_of(record.state));
}
std::string describe_cluster(const BrokerDecommissioned& record) {
  return fmt::format("broker-decommissioned id={} epoch={}", record.broker, record.epoch);
}
std::string describe_cluster(const MoveStarted& record) {
  return fmt::format("move-started {} target={}{}", text_of(record.partition),
                     text_of(record.target), record.by_hand ? " by-hand" : "");
}
std::string describe_cluster(const MoveCompleted& record) {
  return fmt::format("move-completed {} target={}", text_of(record.partition),
                     text_of(record.target));
}
std::string describe_cluster(const MoveCancelled& record) {
  return fmt::format("move-cancelled {}", text_of(record.partition));
}
std::string describe_cluster(const AssignmentSet& record) {
  return fmt::format("assignment-set {} replicas={}{} target={}{}{}", text_of(record.partition),
                     text_of(record.replicas), record.by_hand ? " by-hand" : "",
                     text_of(record.target), record.target_by_hand ? " by-hand" : "",
                     record.moved ? " moved" : "");
}
std::string describe_cluster(const PermitGranted& record) {
  return fmt::format("permit-granted id={} until={}", record.broker, record.expires_at_ms);
}
std::string describe_cluster(const PermitEnded& record) {
  return fmt::format("permit-ended id={}", record.broker);
}
std::string describe_cluster(const SnapshotPart& record) {
  return fmt::format("snapshot-part at={} part={} of={}", record.at, record.part, record.parts);
}

}  // namespace millrace::metadata
