// Which brokers hold the partitions of a topic. Pure; part of the metadata machine.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "broker/metadata/image.h"

namespace millrace::metadata {

/// Chooses replicas for `count` partitions of a topic: where it can be no two on brokers that hold
/// a restart permit, then racks different where they can be, preferred leaders even within the
/// topic, then replicas, then the emptier brokers, ties by lower id. The same image gives the same
/// answer. kInvalidReplicationFactor: fewer brokers than replicas.
Result<std::vector<Replicas>> place_partitions(const Image& image, std::int64_t count,
                                               std::int16_t replication_factor);

/// kPolicyViolation if `added`, on top of what the image holds, puts more on a broker than its
/// shards may carry. The text says how many there are, would be and may be.
Result<void> check_budget(const Image& image, const std::vector<Replicas>& added,
                          std::int32_t per_shard_max, std::string_view topic);

/// kInvalidReplicaAssignment with Kafka's wording unless every replica set is of `replicas`
/// registered, different brokers.
Result<void> check_replicas(const Image& image, const Replicas& replicas, std::size_t expected);

}  // namespace millrace::metadata
