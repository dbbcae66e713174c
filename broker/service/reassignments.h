// Use case: replicas of partitions are to be elsewhere.
#pragma once

#include <vector>

#include "broker/metadata/machine_cluster.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// Whether a partition may get more or fewer replicas than it has.
enum class FactorChange : std::uint8_t { kAllowed, kRefused };

/// Outcomes in the order of the wishes, on `here`'s loop; a move that was begun goes on by itself.
/// kUnknownTopicOrPartition, kInvalidReplicaAssignment, kNoReassignmentInProgress,
/// kInvalidReplicationFactor (another number of replicas, where that is refused),
/// kFeatureUpdateFailed (the cluster is none yet), and those of MetadataWriter.
void reassign_partitions(Shard& here, std::vector<metadata::ReassignPartition> wishes,
                         FactorChange change,
                         common::Reply<std::vector<common::Result<void>>> done);

}  // namespace millrace::service
