// The records of the metadata log. On disk: protobuf (proto/millrace/internal/metadata.proto) as
// the values of ordinary record batches. Here: plain structs, so that no one else sees protobuf.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "broker/model/batch.h"
#include "broker/model/config_key.h"
#include "broker/model/errors.h"
#include "broker/model/ids.h"
#include "common/bytes.h"
#include "common/uuid.h"

namespace millrace::metadata {

using model::Result;

/// The brokers that hold a partition; the first is preferred as leader.
using Replicas = std::vector<model::BrokerId>;

/// An address that others reach a broker at.
struct Endpoint {
  std::string name;  // "kafka", "internal", "grpc", "http"
  std::string host;
  std::int32_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

/// A broker as it registered itself.
struct Broker {
  model::BrokerId id{-1};
  common::Uuid directory;
  std::vector<Endpoint> endpoints;
  std::string rack;  // empty: none
  std::int32_t shards = 1;
  bool operator==(const Broker&) const = default;
};

/// A broker came, or came back with other addresses or another disk.
struct BrokerRegistered {
  Broker broker;
  bool operator==(const BrokerRegistered&) const = default;
};
/// A broker left for good.
struct BrokerGone {
  model::BrokerId broker{-1};
  bool operator==(const BrokerGone&) const = default;
};
struct TopicCreated {
  model::TopicId id;
  std::string name;
  std::vector<Replicas> partitions;
  model::ConfigMap configs;
  bool operator==(const TopicCreated&) const = default;
};
/// More partitions behind those that are there. `first` makes a repeated record harmless.
struct PartitionsAdded {
  model::TopicId topic;
  std::int32_t first = 0;
  std::vector<Replicas> partitions;
  bool operator==(const PartitionsAdded&) const = default;
};
/// value nullopt: back to the default.
struct TopicConfigSet {
  model::TopicId topic;
  std::string name;
  std::optional<std::string> value;
  bool operator==(const TopicConfigSet&) const = default;
};
struct TopicDeleted {
  model::TopicId topic;
  bool operator==(const TopicDeleted&) const = default;
};
/// Only in snapshots: a deleted topic that some brokers still hold.
struct TopicRemoving {
  model::TopicId topic;
  std::string name;
  std::vector<model::BrokerId> waiting_for;
  bool operator==(const TopicRemoving&) const = default;
};
/// A broker holds nothing of a deleted topic any more.
struct TopicRemoved {
  model::TopicId topic;
  model::BrokerId broker{-1};
  bool operator==(const TopicRemoved&) const = default;
};
/// broker nullopt: for the whole cluster. value nullopt: removed.
struct BrokerConfigSet {
  std::optional<model::BrokerId> broker;
  std::string name;
  std::optional<std::string> value;
  bool operator==(const BrokerConfigSet&) const = default;
};
/// Ids below `next` are given away.
struct ProducerIdsAllocated {
  model::ProducerId next{0};
  bool operator==(const ProducerIdsAllocated&) const = default;
};
struct FeatureLevelSet {
  std::int32_t level = 0;
  bool operator==(const FeatureLevelSet&) const = default;
};
/// Things besides topics and brokers that have settings, with Kafka's numbers.
enum class ResourceKind : std::int8_t { kClientMetrics = 16, kGroup = 32 };
/// value nullopt: removed. A resource exists as long as it has a setting.
struct ResourceConfigSet {
  ResourceKind kind = ResourceKind::kClientMetrics;
  std::string resource;
  std::string name;
  std::optional<std::string> value;
  bool operator==(const ResourceConfigSet&) const = default;
};

using Record =
    std::variant<BrokerRegistered, BrokerGone, TopicCreated, PartitionsAdded, TopicConfigSet,
                 TopicDeleted, TopicRemoving, TopicRemoved, BrokerConfigSet, ProducerIdsAllocated,
                 FeatureLevelSet, ResourceConfigSet>;

/// The bytes of a record's value.
common::Bytes encode(const Record& record);
/// kCorruptMessage: not a record of ours. kUnsupportedVersion: made by a newer broker. Safe on any
/// bytes.
Result<Record> decode(common::ByteView value);

/// One batch with these records, ready to be appended. Requires at least one.
common::Bytes to_batch(std::span<const Record> records, common::Timestamp now);

/// The values in a batch of the metadata log, in order, as views into it. kInvalidRecord or
/// kCorruptMessage: damaged. A batch of the metadata log is never compressed.
Result<std::vector<common::ByteView>> values_of(const model::BatchView& batch);

/// One line for logs and tests, such as `topic-created name=orders partitions=3`.
std::string describe(const Record& record);

}  // namespace millrace::metadata
