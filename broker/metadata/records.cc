#include "broker/metadata/records.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "broker/metadata/cluster_codec.h"
#include "broker/model/record.h"
#include "common/check.h"
#include "proto/millrace/internal/metadata.pb.h"

namespace millrace::metadata {
namespace {

namespace pb = ::millrace::internal;
// Those of cluster_codec.h beside the ones below, which would hide them.
using metadata::put;
using metadata::read;
using model::BrokerId;
using model::Error;
using model::ErrorCode;

/// The newest version of records that this code reads.
constexpr std::uint32_t kVersion = 1;

void put_replicas(const std::vector<Replicas>& from,
                  ::google::protobuf::RepeatedPtrField<pb::Replicas>& to) {
  for (const Replicas& replicas : from) {
    pb::Replicas* const one = to.Add();
    for (const BrokerId broker : replicas) one->add_brokers(broker.value());
  }
}

std::vector<Replicas> replicas_of(const ::google::protobuf::RepeatedPtrField<pb::Replicas>& from) {
  std::vector<Replicas> all;
  all.reserve(static_cast<std::size_t>(from.size()));
  for (const pb::Replicas& one : from) {
    Replicas& replicas = all.emplace_back();
    for (const std::int32_t broker : one.brokers()) replicas.push_back(BrokerId{broker});
  }
  return all;
}

// One put() and one read() per kind of record. read(): nullopt if a field has no possible value.

void put(const BrokerRegistered& record, pb::MetadataRecord& out) {
  pb::BrokerRegistered& to = *out.mutable_broker_registered();
  to.set_broker(record.broker.id.value());
  to.set_directory(bytes_of(record.broker.directory));
  for (const Endpoint& endpoint : record.broker.endpoints) {
    pb::Endpoint* const one = to.add_endpoints();
    one->set_name(endpoint.name);
    one->set_host(endpoint.host);
    one->set_port(endpoint.port);
  }
  to.set_rack(record.broker.rack);
  to.set_shards(record.broker.shards);
  if (!record.broker.incarnation.is_zero()) to.set_incarnation(bytes_of(record.broker.incarnation));
  to.set_epoch(record.broker.epoch);
  to.set_level_min(record.broker.level_min);
  to.set_level_max(record.broker.level_max);
}
std::optional<Record> read(const pb::BrokerRegistered& from) {
  const auto directory = uuid_of(from.directory());
  const auto incarnation = perhaps_uuid_of(from.incarnation());
  if (!directory || !incarnation) return std::nullopt;
  Broker broker{.id = BrokerId{from.broker()},
                .directory = *directory,
                .rack = from.rack(),
                .shards = from.shards(),
                .incarnation = *incarnation,
                .epoch = from.epoch(),
                .level_min = from.level_min(),
                .level_max = from.level_max()};
  for (const pb::Endpoint& one : from.endpoints()) {
    broker.endpoints.push_back({.name = one.name(), .host = one.host(), .port = one.port()});
  }
  return BrokerRegistered{std::move(broker)};
}

void put(const BrokerGone& record, pb::MetadataRecord& out) {
  out.mutable_broker_gone()->set_broker(record.broker.value());
}
std::optional<Record> read(const pb::BrokerGone& from) {
  return BrokerGone{BrokerId{from.broker()}};
}

void put(const TopicCreated& record, pb::MetadataRecord& out) {
  pb::TopicCreated& to = *out.mutable_topic_created();
  to.set_id(bytes_of(record.id));
  to.set_name(record.name);
  put_replicas(record.partitions, *to.mutable_partitions());
  to.set_by_hand(record.by_hand);
  for (const auto& [name, value] : record.configs) {
    pb::ConfigValue* const one = to.add_configs();
    one->set_name(name);
    one->set_value(value);
  }
}
std::optional<Record> read(const pb::TopicCreated& from) {
  const auto id = uuid_of(from.id());
  if (!id) return std::nullopt;
  TopicCreated record{
      .id = *id, .name = from.name(), .partitions = replicas_of(from.partitions()), .configs = {}};
  for (const pb::ConfigValue& one : from.configs()) record.configs[one.name()] = one.value();
  record.by_hand = from.by_hand();
  return record;
}

void put(const PartitionsAdded& record, pb::MetadataRecord& out) {
  pb::PartitionsAdded& to = *out.mutable_partitions_added();
  to.set_topic(bytes_of(record.topic));
  to.set_first(record.first);
  put_replicas(record.partitions, *to.mutable_partitions());
  to.set_by_hand(record.by_hand);
}
std::optional<Record> read(const pb::PartitionsAdded& from) {
  const auto topic = uuid_of(from.topic());
  if (!topic) return std::nullopt;
  return PartitionsAdded{.topic = *topic,
                         .first = from.first(),
                         .partitions = replicas_of(from.partitions()),
                         .by_hand = from.by_hand()};
}

void put(const TopicConfigSet& record, pb::MetadataRecord& out) {
  pb::TopicConfigSet& to = *out.mutable_topic_config_set();
  to.set_topic(bytes_of(record.topic));
  to.set_name(record.name);
  if (record.value) to.set_value(*record.value);
}
std::optional<Record> read(const pb::TopicConfigSet& from) {
  const auto topic = uuid_of(from.topic());
  if (!topic) return std::nullopt;
  TopicConfigSet record{.topic = *topic, .name = from.name(), .value = std::nullopt};
  if (from.has_value()) record.value = from.value();
  return record;
}

void put(const TopicDeleted& record, pb::MetadataRecord& out) {
  out.mutable_topic_deleted()->set_topic(bytes_of(record.topic));
}
std::optional<Record> read(const pb::TopicDeleted& from) {
  const auto topic = uuid_of(from.topic());
  if (!topic) return std::nullopt;
  return TopicDeleted{*topic};
}

void put(const TopicRemoving& record, pb::MetadataRecord& out) {
  pb::TopicRemoving& to = *out.mutable_topic_removing();
  to.set_topic(bytes_of(record.topic));
  to.set_name(record.name);
  for (const BrokerId broker : record.waiting_for) to.add_waiting_for(broker.value());
}
std::optional<Record> read(const pb::TopicRemoving& from) {
  const auto topic = uuid_of(from.topic());
  if (!topic) return std::nullopt;
  TopicRemoving record{.topic = *topic, .name = from.name(), .waiting_for = {}};
  for (const std::int32_t broker : from.waiting_for())
    record.waiting_for.push_back(BrokerId{broker});
  return record;
}

void put(const TopicRemoved& record, pb::MetadataRecord& out) {
  out.mutable_topic_removed()->set_topic(bytes_of(record.topic));
  out.mutable_topic_removed()->set_broker(record.broker.value());
}
std::optional<Record> read(const pb::TopicRemoved& from) {
  const auto topic = uuid_of(from.topic());
  if (!topic) return std::nullopt;
  return TopicRemoved{.topic = *topic, .broker = BrokerId{from.broker()}};
}

void put(const BrokerConfigSet& record, pb::MetadataRecord& out) {
  pb::BrokerConfigSet& to = *out.mutable_broker_config_set();
  if (record.broker) to.set_broker(record.broker->value());
  to.set_name(record.name);
  if (record.value) to.set_value(*record.value);
}
std::optional<Record> read(const pb::BrokerConfigSet& from) {
  BrokerConfigSet record{.broker = std::nullopt, .name = from.name(), .value = std::nullopt};
  if (from.has_broker()) record.broker = BrokerId{from.broker()};
  if (from.has_value()) record.value = from.value();
  return record;
}

void put(const ProducerIdsAllocated& record, pb::MetadataRecord& out) {
  out.mutable_producer_ids_allocated()->set_next(record.next.value());
}
std::optional<Record> read(const pb::ProducerIdsAllocated& from) {
  return ProducerIdsAllocated{model::ProducerId{from.next()}};
}

void put(const FeatureLevelSet& record, pb::MetadataRecord& out) {
  out.mutable_feature_level_set()->set_level(record.level);
}
std::optional<Record> read(const pb::FeatureLevelSet& from) {
  return FeatureLevelSet{from.level()};
}

void put(const ResourceConfigSet& record, pb::MetadataRecord& out) {
  pb::ResourceConfigSet& to = *out.mutable_resource_config_set();
  to.set_kind(static_cast<std::int32_t>(record.kind));
  to.set_resource(record.resource);
  to.set_name(record.name);
  if (record.value) to.set_value(*record.value);
}
std::optional<Record> read(const pb::ResourceConfigSet& from) {
  // Whether the kind is a known one is for the image to say: any number is carried.
  if (from.kind() < INT8_MIN || from.kind() > INT8_MAX) return std::nullopt;
  ResourceConfigSet record{.kind = static_cast<ResourceKind>(from.kind()),
                           .resource = from.resource(),
                           .name = from.name(),
                           .value = std::nullopt};
  if (from.has_value()) record.value = from.value();
  return record;
}

std::optional<Record> read_kind(const pb::MetadataRecord& from) {
  switch (from.kind_case()) {
    case pb::MetadataRecord::kBrokerRegistered:
      return read(from.broker_registered());
    case pb::MetadataRecord::kBrokerGone:
      return read(from.broker_gone());
    case pb::MetadataRecord::kTopicCreated:
      return read(from.topic_created());
    case pb::MetadataRecord::kPartitionsAdded:
      return read(from.partitions_added());
    case pb::MetadataRecord::kTopicConfigSet:
      return read(from.topic_config_set());
    case pb::MetadataRecord::kTopicDeleted:
      return read(from.topic_deleted());
    case pb::MetadataRecord::kTopicRemoving:
      return read(from.topic_removing());
    case pb::MetadataRecord::kTopicRemoved:
      return read(from.topic_removed());
    case pb::MetadataRecord::kBrokerConfigSet:
      return read(from.broker_config_set());
    case pb::MetadataRecord::kProducerIdsAllocated:
      return read(from.producer_ids_allocated());
    case pb::MetadataRecord::kFeatureLevelSet:
      return read(from.feature_level_set());
    case pb::MetadataRecord::kResourceConfigSet:
      return read(from.resource_config_set());
    case pb::MetadataRecord::kBrokerStateSet:
      return read(from.broker_state_set());
    case pb::MetadataRecord::kBrokerDecommissioned:
      return read(from.broker_decommissioned());
    case pb::MetadataRecord::kMoveStarted:
      return read(from.move_started());
    case pb::MetadataRecord::kMoveCompleted:
      return read(from.move_completed());
    case pb::MetadataRecord::kMoveCancelled:
      return read(from.move_cancelled());
    case pb::MetadataRecord::kAssignmentSet:
      return read(from.assignment_set());
    case pb::MetadataRecord::kPermitGranted:
      return read(from.permit_granted());
    case pb::MetadataRecord::kPermitEnded:
      return read(from.permit_ended());
    case pb::MetadataRecord::kSnapshotPart:
      return read(from.snapshot_part());
    case pb::MetadataRecord::KIND_NOT_SET:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::int32_t level_of(const Record& record) {
  // The alternatives stand in the order in which they came to be.
  constexpr std::size_t kOfLevelZero = 12;
  static_assert(std::is_same_v<std::variant_alternative_t<kOfLevelZero, Record>, BrokerStateSet>);
  return record.index() < kOfLevelZero ? 0 : kClusterLevel;
}

common::Bytes encode(const Record& record) {
  pb::MetadataRecord out;
  out.set_version(kVersion);
  std::visit([&](const auto& one) { put(one, out); }, record);
  const std::size_t size = out.ByteSizeLong();
  CHECK(size < std::size_t{std::numeric_limits<std::int32_t>::max()});
  common::Bytes bytes = common::Bytes::allocate(size);
  CHECK(out.SerializeToArray(bytes.mutable_data(), static_cast<int>(size)));
  return bytes;
}

Result<Record> decode(common::ByteView value) {
  pb::MetadataRecord from;
  if (value.size() > std::size_t{std::numeric_limits<std::int32_t>::max()} ||
      !from.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return Error{ErrorCode::kCorruptMessage,
                 fmt::format("{} bytes are no metadata record", value.size())};
  }
  if (from.version() > kVersion || from.kind_case() == pb::MetadataRecord::KIND_NOT_SET) {
    return Error{
        ErrorCode::kUnsupportedVersion,
        fmt::format("a metadata record of version {} is of a kind not known here", from.version())};
  }
  auto record = read_kind(from);
  if (!record) return Error{ErrorCode::kCorruptMessage, "a metadata record has an id that is none"};
  return *std::move(record);
}

common::Bytes to_batch(std::span<const Record> records, common::Timestamp now,
                       const common::Uuid& proposal) {
  CHECK(!records.empty(), "a batch of metadata needs a record");
  model::BatchBuilder builder;
  std::optional<common::ByteView> key;
  if (!proposal.is_zero()) key = common::ByteView(proposal.bytes);
  for (const Record& record : records) {
    const common::Bytes value = encode(record);
    builder.append({.timestamp = now, .key = key, .value = value.view(), .headers = {}});
    key.reset();
  }
  return builder.build();
}

common::Uuid proposal_of(const model::BatchView& batch) {
  common::Uuid id;
  if (batch.compression() != model::Compression::kNone) return id;
  const auto record = model::RecordReader(batch.payload(), batch.record_count()).next();
  if (!record.ok() || !*record || !(*record)->key) return id;
  const common::ByteView key = *(*record)->key;
  if (key.size() == id.bytes.size()) std::copy(key.begin(), key.end(), id.bytes.begin());
  return id;
}

Result<std::vector<common::ByteView>> values_of(const model::BatchView& batch) {
  if (batch.compression() != model::Compression::kNone) {
    return Error{ErrorCode::kCorruptMessage, "a batch of the metadata log is compressed"};
  }
  std::vector<common::ByteView> values;
  model::RecordReader reader(batch.payload(), batch.record_count());
  for (;;) {
    TRY_ASSIGN(const std::optional<model::RecordView> record, reader.next());
    if (!record) return values;
    values.push_back(record->value.value_or(common::ByteView{}));
  }
}

namespace {

struct Describer {
  std::string operator()(const BrokerRegistered& r) const {
    std::string text =
        fmt::format("broker-registered id={} shards={}", r.broker.id, r.broker.shards);
    if (!r.broker.rack.empty()) text += fmt::format(" rack={}", r.broker.rack);
    if (r.broker.epoch != 0) text += fmt::format(" epoch={}", r.broker.epoch);
    if (r.broker.level_max != 0)
      text += fmt::format(" levels={}..{}", r.broker.level_min, r.broker.level_max);
    for (const Endpoint& endpoint : r.broker.endpoints) {
      text += fmt::format(" {}={}:{}", endpoint.name, endpoint.host, endpoint.port);
    }
    return text;
  }
  std::string operator()(const BrokerGone& r) const {
    return fmt::format("broker-gone id={}", r.broker);
  }
  std::string operator()(const TopicCreated& r) const {
    std::string text = fmt::format("topic-created name={} id={} partitions={}", r.name, r.id,
                                   assignment(r.partitions));
    if (r.by_hand) text += " by-hand";
    for (const auto& [name, value] : r.configs) text += fmt::format(" {}={}", name, value);
    return text;
  }
  std::string operator()(const PartitionsAdded& r) const {
    return fmt::format("partitions-added topic={} first={} partitions={}{}", r.topic, r.first,
                       assignment(r.partitions), r.by_hand ? " by-hand" : "");
  }
  std::string operator()(const TopicConfigSet& r) const {
    return fmt::format("topic-config-set topic={} {}", r.topic, setting(r.name, r.value));
  }
  std::string operator()(const TopicDeleted& r) const {
    return fmt::format("topic-deleted topic={}", r.topic);
  }
  std::string operator()(const TopicRemoving& r) const {
    return fmt::format("topic-removing topic={} name={} waiting-for={}", r.topic, r.name,
                       fmt::join(r.waiting_for, ","));
  }
  std::string operator()(const TopicRemoved& r) const {
    return fmt::format("topic-removed topic={} broker={}", r.topic, r.broker);
  }
  std::string operator()(const BrokerConfigSet& r) const {
    const std::string broker = r.broker ? fmt::format("{}", *r.broker) : "all";
    return fmt::format("broker-config-set broker={} {}", broker, setting(r.name, r.value));
  }
  std::string operator()(const ProducerIdsAllocated& r) const {
    return fmt::format("producer-ids-allocated next={}", r.next);
  }
  std::string operator()(const FeatureLevelSet& r) const {
    return fmt::format("feature-level-set level={}", r.level);
  }
  std::string operator()(const ResourceConfigSet& r) const {
    return fmt::format("resource-config-set kind={} resource={} {}", static_cast<int>(r.kind),
                       r.resource, setting(r.name, r.value));
  }
  template <typename ClusterRecord>
  std::string operator()(const ClusterRecord& r) const {
    return describe_cluster(r);
  }

 private:
  static std::string setting(const std::string& name, const std::optional<std::string>& value) {
    return value ? fmt::format("{}={}", name, *value) : fmt::format("{} removed", name);
  }
  /// "1,2;2,3": the replicas of each partition; long lists are cut.
  static std::string assignment(const std::vector<Replicas>& partitions) {
    constexpr std::size_t kShown = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(kShown, partitions.size()); ++i) {
      if (i > 0) text += ';';
      text += fmt::format("{}", fmt::join(partitions[i], ","));
    }
    if (partitions.size() > kShown) text += fmt::format(";... ({})", partitions.size());
    return text;
  }
};

}  // namespace

std::string describe(const Record& record) {
  return std::visit(Describer{}, record);
}

}  // namespace millrace::metadata
