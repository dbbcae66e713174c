// const MotionStep step = next_step(goal, facts);
//
// How the replicas of a partition get from where they are to where they should be, one change of
// its Raft group at a time. Pure; run by whoever leads the group, again and again.
//
// In this order, as far as the facts allow:
//   1. learners that nobody wants go;
//   2. wanted replicas that are not in the group come as learners, and get the log;
//   3. learners that should vote and are close become voters, while that leaves at most one voter
//      more than before the move and than wanted; voters of a replaced disk go right before that;
//   4. voters that should only learn, or not be there, go: while there are more voters than that,
//      or once all that are wanted vote. Gone ones first;
//   5. a leader that should not vote hands over, once a wanted voter has everything; its heir goes
//      on here.
// So until the wanted ones have taken over there are as many voters as there were, or as are
// wanted, of those that can vote.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "broker/raft/voters.h"

namespace millrace::service {

/// Where replicas should be.
struct MotionGoal {
  /// The preferred leader first.
  std::vector<raft::ReplicaId> voters;
  /// Get the log and never vote.
  std::vector<raft::ReplicaId> learners;
  /// How many voters there were when the move began; 0: no move is under way.
  std::size_t voters_before = 0;
};

/// What the leader of a group knows of one of its replicas.
struct MotionReplica {
  raft::ReplicaId id;
  /// Its broker is heard.
  bool alive = false;
  /// It holds all that is committed, or all of a moment ago: it could lead, or vote.
  bool close = false;
};

struct MotionFacts {
  raft::ReplicaId self;
  raft::VoterSet config;
  /// Of the members of `config`, in any order; one that is missing is not alive.
  std::vector<MotionReplica> replicas;
  /// Brokers outside of the group that are heard; the others are not asked to join.
  std::vector<model::BrokerId> alive;
};

struct MotionStep {
  enum class Kind : std::uint8_t {
    kDone,  // the group is as it should be
    kWait,  // nothing can be done now; `why` says for what
    kAddLearner,
    kPromote,
    kDemote,
    kRemove,
    kTransfer,  // to a voter that stays
  };
  Kind kind = Kind::kDone;
  raft::ReplicaId replica;
  std::string_view why;
  bool operator==(const MotionStep&) const = default;
};
std::string_view name_of(MotionStep::Kind kind);

/// Requires that `self` leads the group, and a goal with a voter, without any replica twice.
MotionStep next_step(const MotionGoal& goal, const MotionFacts& facts);

}  // namespace millrace::service
