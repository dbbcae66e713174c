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
  std::string name;  // endpoints.h
  std::string host;
  std::int32_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

/// One copy of a partition: a data directory of a broker. A broker with another disk is not the
/// same replica. A zero directory is not known, and stands for whichever the broker has.
struct Replica {
  model::BrokerId broker{-1};
  common::Uuid directory;
  bool operator==(const Replica&) const = default;
};
using ReplicaSet = std::vector<Replica>;

/// A broker as it registered itself.
struct Broker {
  model::BrokerId id{-1};
  common::Uuid directory;
  std::vector<Endpoint> endpoints;
  std::string rack;  // empty: none
  std::int32_t shards = 1;
  /// Drawn anew each time the process starts. Zero: not told (a broker on its own).
  common::Uuid incarnation;
  /// Grows with every registration of the id; what carries a lower one is from before. 0: not told.
  std::int64_t epoch = 0;
  /// The feature levels that it can work at.
  std::int32_t level_min = 0;
  std::int32_t level_max = 0;
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
  /// Somebody said where. Means nothing below kClusterLevel.
  bool by_hand = false;
  bool operator==(const TopicCreated&) const = default;
};
/// More partitions behind those that are there. `first` makes a repeated record harmless.
struct PartitionsAdded {
  model::TopicId topic;
  std::int32_t first = 0;
  std::vector<Replicas> partitions;
  bool by_hand = false;
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

/// What a registered broker is for. active -> draining -> drained -> (decommissioned) gone; from
/// draining and drained back to active.
enum class BrokerState : std::int8_t { kActive = 0, kDraining = 1, kDrained = 2 };

// The records from here on are refused below feature level kClusterLevel.

struct BrokerStateSet {
  model::BrokerId broker{-1};
  BrokerState state = BrokerState::kActive;
  bool operator==(const BrokerStateSet&) const = default;
};
/// A drained and empty broker left for good: its directory never comes back. In snapshots it stands
/// without the broker.
struct BrokerDecommissioned {
  model::BrokerId broker{-1};
  common::Uuid directory;
  std::int64_t epoch = 0;
  bool operator==(const BrokerDecommissioned&) const = default;
};
/// The replicas of a partition should become `target`. Replaces an earlier move.
struct MoveStarted {
  model::PartitionKey partition;
  ReplicaSet target;
  /// Somebody asked for it: nothing is evened out there later.
  bool by_hand = false;
  bool operator==(const MoveStarted&) const = default;
};
/// The partition's voters are the target. `target` makes a late record harmless.
struct MoveCompleted {
  model::PartitionKey partition;
  ReplicaSet target;
  bool operator==(const MoveCompleted&) const = default;
};
/// The partition stays, or goes back, where it was.
struct MoveCancelled {
  model::PartitionKey partition;
  bool operator==(const MoveCancelled&) const = default;
};
/// Only in snapshots: what TopicCreated alone does not bring back.
struct AssignmentSet {
  model::PartitionKey partition;
  ReplicaSet replicas;
  ReplicaSet target;
  bool by_hand = false;
  bool target_by_hand = false;
  bool moved = false;
  bool operator==(const AssignmentSet&) const = default;
};
/// One incarnation of a broker may stop until then (milliseconds since 1970, by the clock of the
/// broker that led the metadata log).
struct PermitGranted {
  model::BrokerId broker{-1};
  common::Uuid incarnation;
  std::int64_t expires_at_ms = 0;
  /// For how long it was asked for; 0: not known.
  std::int64_t lasts_ms = 0;
  bool operator==(const PermitGranted&) const = default;
};
struct PermitEnded {
  model::BrokerId broker{-1};
  common::Uuid incarnation;
  bool operator==(const PermitEnded&) const = default;
};

/// First in a batch whose other records are a part of a snapshot, of the state that everything in
/// front of `at` makes; the first part lies at `at`. No image applies it: see replay.h.
struct SnapshotPart {
  model::Offset at;
  std::int32_t part = 0;
  std::int32_t parts = 0;
  bool operator==(const SnapshotPart&) const = default;
};

using Record =
    std::variant<BrokerRegistered, BrokerGone, TopicCreated, PartitionsAdded, TopicConfigSet,
                 TopicDeleted, TopicRemoving, TopicRemoved, BrokerConfigSet, ProducerIdsAllocated,
                 FeatureLevelSet, ResourceConfigSet, BrokerStateSet, BrokerDecommissioned,
                 MoveStarted, MoveCompleted, MoveCancelled, AssignmentSet, PermitGranted,
                 PermitEnded, SnapshotPart>;

/// The level at which a cluster of several brokers can be described.
inline constexpr std::int32_t kClusterLevel = 1;
/// The newest feature level that this code can work at.
inline constexpr std::int32_t kFeatureLevelMax = kClusterLevel;

/// The finalized feature level that a record needs: below it every image rejects it, the old ones
/// because they do not know it.
std::int32_t level_of(const Record& record);

/// The bytes of a record's value.
common::Bytes encode(const Record& record);
/// kCorruptMessage: not a record of ours. kUnsupportedVersion: made by a newer broker. Safe on any
/// bytes.
Result<Record> decode(common::ByteView value);

/// One batch with these records, ready to be appended. Requires at least one. `proposal`, if it is
/// not zero, is the first record's key: by it who proposed the batch knows its own.
common::Bytes to_batch(std::span<const Record> records, common::Timestamp now,
                       const common::Uuid& proposal = {});
/// Zero: it has none.
common::Uuid proposal_of(const model::BatchView& batch);

/// The values in a batch of the metadata log, in order, as views into it. kInvalidRecord or
/// kCorruptMessage: damaged. A batch of the metadata log is never compressed.
Result<std::vector<common::ByteView>> values_of(const model::BatchView& batch);

/// One line for logs and tests, such as `topic-created name=orders partitions=3`.
std::string describe(const Record& record);

}  // namespace millrace::metadata
