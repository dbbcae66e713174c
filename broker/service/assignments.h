// What the metadata wants of a partition, in the words of its Raft group. Pure.
#pragma once

#include <optional>

#include "broker/metadata/image.h"
#include "broker/raft/voters.h"
#include "broker/service/motion.h"

namespace millrace::service {

/// Whether a replica belongs to a partition, or is to come to it.
bool names(const metadata::PartitionAssignment& assignment, const raft::ReplicaId& replica);

/// What a replica without a state of its own begins with: as one of the first of its group the set
/// that all of these are told; else, or where others were the first ones, nothing (version 0), as
/// its leader will tell. Below the feature level of clusters a broker is alone. Requires
/// names(assignment, self).
raft::VoterSet first_voters(const metadata::Image& image,
                            const metadata::PartitionAssignment& assignment,
                            const raft::ReplicaId& self);

/// Where the replicas of a partition should be. nullopt: that is not known well enough to change
/// anything: no such partition, a broker whose directory nobody has told, or a cluster that is not
/// one yet.
std::optional<MotionGoal> motion_goal(const metadata::Image& image,
                                      const model::PartitionKey& partition);

}  // namespace millrace::service
