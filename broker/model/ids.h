// Identities and positions that every module speaks of. Distinct types: mixing them up does not
// compile.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/id.h"
#include "common/uuid.h"

namespace millrace::model {

/// A record's number in its partition: dense from 0, never reused.
struct OffsetTag {};
using Offset = common::Number<OffsetTag, std::int64_t>;

/// Raft's term of a partition; equals Kafka's leader epoch.
struct TermTag {};
using Term = common::Number<TermTag, std::int32_t>;

/// Kafka's broker id (node id): the ordinal of its pod.
struct BrokerIdTag {};
using BrokerId = common::Number<BrokerIdTag, std::int32_t>;

/// The number of a partition within its topic, from 0.
struct PartitionIndexTag {};
using PartitionIndex = common::Number<PartitionIndexTag, std::int32_t>;

/// Identity of an idempotent or transactional producer (KIP-98). -1: none.
struct ProducerIdTag {};
using ProducerId = common::Number<ProducerIdTag, std::int64_t>;
inline constexpr ProducerId kNoProducerId{-1};

/// Identity of a topic: a topic made again under the same name has another one (KIP-516).
using TopicId = common::Uuid;

/// One partition of one topic: what replicas, logs and shards are keyed by.
struct PartitionKey {
  TopicId topic;
  PartitionIndex index;
  auto operator<=>(const PartitionKey&) const = default;
};

/// The topic id of `__cluster_metadata`: the same in every cluster, as in Kafka.
inline constexpr TopicId kMetadataTopicId{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

}  // namespace millrace::model

template <>
struct std::hash<millrace::model::PartitionKey> {
  std::size_t operator()(const millrace::model::PartitionKey& key) const noexcept {
    return std::hash<millrace::common::Uuid>{}(key.topic) * 31 +
           std::hash<millrace::model::PartitionIndex>{}(key.index);
  }
};
