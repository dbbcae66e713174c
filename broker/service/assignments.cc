#include "broker/service/assignments.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::service {
namespace {

using metadata::Image;
using metadata::PartitionAssignment;
using metadata::Replica;
using metadata::ReplicaSet;
using raft::ReplicaId;

/// A replica that is named without a directory is in whichever its broker has.
ReplicaId resolved(const Image& image, const Replica& replica) {
  ReplicaId id{.node = replica.broker, .directory = replica.directory};
  const auto broker = image.brokers().find(replica.broker);
  if (id.directory.is_zero() && broker != image.brokers().end())
    id.directory = broker->second.directory;
  return id;
}

bool holds(const ReplicaSet& replicas, const ReplicaId& id) {
  return std::any_of(replicas.begin(), replicas.end(), [&](const Replica& replica) {
    return replica.broker == id.node &&
           (replica.directory.is_zero() || replica.directory == id.directory);
  });
}

}  // namespace

bool names(const PartitionAssignment& assignment, const ReplicaId& replica) {
  return holds(assignment.replicas, replica) || holds(assignment.target, replica);
}

raft::VoterSet first_voters(const Image& image, const PartitionAssignment& assignment,
                            const ReplicaId& self) {
  CHECK(names(assignment, self));
  raft::VoterSet set;
  if (assignment.moved || !holds(assignment.replicas, self)) return set;
  set.id = {.term = model::Term{0}, .version = 1};
  if (image.feature_level() < metadata::kClusterLevel) {
    set.voters = {self};
    return set;
  }
  for (const Replica& replica : assignment.replicas) {
    const ReplicaId id = replica.broker == self.node ? self : resolved(image, replica);
    if (!set.is_voter(id)) set.voters.push_back(id);
  }
  if (!set.is_sound()) return {};
  return set;
}

std::optional<MotionGoal> motion_goal(const Image& image, const model::PartitionKey& partition) {
  const PartitionAssignment* const assignment = image.assignment(partition);
  if (assignment == nullptr || image.feature_level() < metadata::kClusterLevel) return std::nullopt;
  MotionGoal goal{.voters = {}, .learners = {}};
  for (const Replica& replica : assignment->moving() ? assignment->target : assignment->replicas) {
    const ReplicaId id = resolved(image, replica);
    if (id.directory.is_zero()) return std::nullopt;
    if (std::find(goal.voters.begin(), goal.voters.end(), id) == goal.voters.end())
      goal.voters.push_back(id);
  }
  if (goal.voters.size() > raft::kVotersMax) return std::nullopt;
  if (assignment->moving()) goal.voters_before = assignment->replicas.size();
  return goal;
}

}  // namespace millrace::service
