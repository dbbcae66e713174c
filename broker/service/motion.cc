#include "broker/service/motion.h"

#include <algorithm>
#include <optional>

#include "common/check.h"

namespace millrace::service {
namespace {

using raft::ReplicaId;
using Kind = MotionStep::Kind;

bool contains(const std::vector<ReplicaId>& replicas, const ReplicaId& replica) {
  return std::find(replicas.begin(), replicas.end(), replica) != replicas.end();
}

class Planner {
 public:
  Planner(const MotionGoal& goal, const MotionFacts& facts) : goal_(goal), facts_(facts) {}

  MotionStep run() const {
    if (const auto learner = unwanted_learner()) return {Kind::kRemove, *learner, "not wanted"};
    if (const auto missing = missing_replica()) return {Kind::kAddLearner, *missing, "wanted"};
    const std::size_t usual = std::max(goal_.voters.size(), goal_.voters_before);
    if (facts_.config.voters.size() <= usual) {
      if (const auto ready = promotable()) {
        if (const auto replaced = replaced_voter()) return {Kind::kRemove, *replaced, "replaced"};
        return {Kind::kPromote, *ready, "caught up"};
      }
    }
    const bool taken_over =
        std::all_of(goal_.voters.begin(), goal_.voters.end(),
                    [this](const ReplicaId& id) { return facts_.config.is_voter(id); });
    if (facts_.config.voters.size() > usual || (taken_over && extra_voters())) return shrink();
    return rest();
  }

 private:
  const MotionReplica* known(const ReplicaId& id) const {
    for (const MotionReplica& replica : facts_.replicas) {
      if (replica.id == id) return &replica;
    }
    return nullptr;
  }
  bool alive(const ReplicaId& id) const {
    const MotionReplica* const replica = known(id);
    return id == facts_.self || (replica != nullptr && replica->alive);
  }
  bool close(const ReplicaId& id) const {
    const MotionReplica* const replica = known(id);
    return id == facts_.self || (replica != nullptr && replica->alive && replica->close);
  }
  bool wanted(const ReplicaId& id) const {
    return contains(goal_.voters, id) || contains(goal_.learners, id);
  }

  /// Once all wanted ones vote.
  bool extra_voters() const { return facts_.config.voters.size() > goal_.voters.size(); }

  std::optional<ReplicaId> unwanted_learner() const {
    for (const ReplicaId& learner : facts_.config.learners) {
      if (!wanted(learner)) return learner;
    }
    return std::nullopt;
  }

  std::optional<ReplicaId> missing_replica() const {
    if (facts_.config.voters.size() + facts_.config.learners.size() >= raft::kReplicasMax)
      return std::nullopt;
    for (const auto* wanted : {&goal_.voters, &goal_.learners}) {
      for (const ReplicaId& replica : *wanted) {
        if (!facts_.config.is_member(replica) && joins(replica)) return replica;
      }
    }
    return std::nullopt;
  }

  bool joins(const ReplicaId& replica) const {
    return std::find(facts_.alive.begin(), facts_.alive.end(), replica.node) != facts_.alive.end();
  }

  /// A voter whose broker has another directory now: it can never vote again, so the group needs
  /// all the same voters without it. If it went only after the new one has come, there would be a
  /// moment in which all copies are there and the next loss of a broker leaves no majority.
  std::optional<ReplicaId> replaced_voter() const {
    for (const ReplicaId& voter : facts_.config.voters) {
      if (wanted(voter) || voter == facts_.self) continue;
      for (const auto* wanted : {&goal_.voters, &goal_.learners}) {
        for (const ReplicaId& other : *wanted) {
          if (other.node == voter.node) return voter;
        }
      }
    }
    return std::nullopt;
  }

  /// Gone ones first, then those that lag; the leader itself last of all.
  MotionStep shrink() const {
    std::optional<ReplicaId> leaves;
    const auto rank = [this](const ReplicaId& id) { return alive(id) ? (close(id) ? 2 : 1) : 0; };
    for (const ReplicaId& voter : facts_.config.voters) {
      if (contains(goal_.voters, voter) || voter == facts_.self) continue;
      if (!leaves || rank(voter) < rank(*leaves)) leaves = voter;
    }
    if (!leaves) return hand_over();
    if (contains(goal_.learners, *leaves)) return {Kind::kDemote, *leaves, "should only learn"};
    return {Kind::kRemove, *leaves, alive(*leaves) ? "not wanted" : "gone"};
  }

  MotionStep hand_over() const {
    CHECK(!contains(goal_.voters, facts_.self), "more voters than wanted, and all are wanted");
    for (const ReplicaId& heir : goal_.voters) {
      if (facts_.config.is_voter(heir) && close(heir)) return {Kind::kTransfer, heir, "leaves"};
    }
    return {Kind::kWait, {}, "no voter that stays has everything"};
  }

  std::optional<ReplicaId> promotable() const {
    if (facts_.config.voters.size() >= raft::kVotersMax) return std::nullopt;
    for (const ReplicaId& replica : goal_.voters) {
      if (facts_.config.is_learner(replica) && close(replica)) return replica;
    }
    return std::nullopt;
  }

  /// Nothing is to be done, or nothing can be done.
  MotionStep rest() const {
    for (const auto* wanted : {&goal_.voters, &goal_.learners}) {
      for (const ReplicaId& replica : *wanted) {
        if (facts_.config.is_member(replica)) continue;
        return {Kind::kWait, replica, joins(replica) ? "the group is full" : "its broker is away"};
      }
    }
    for (const ReplicaId& replica : goal_.voters) {
      if (facts_.config.is_voter(replica)) continue;
      return {Kind::kWait, replica, alive(replica) ? "catching up" : "its broker is away"};
    }
    // As many voters as wanted, and all of those that are wanted.
    return {Kind::kDone, {}, {}};
  }

  const MotionGoal& goal_;
  const MotionFacts& facts_;
};

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kDone:
      return "done";
    case Kind::kWait:
      return "wait";
    case Kind::kAddLearner:
      return "add-learner";
    case Kind::kPromote:
      return "promote";
    case Kind::kDemote:
      return "demote";
    case Kind::kRemove:
      return "remove";
    case Kind::kTransfer:
      return "transfer";
  }
  return "?";
}

MotionStep next_step(const MotionGoal& goal, const MotionFacts& facts) {
  CHECK(!goal.voters.empty());
  for (const ReplicaId& learner : goal.learners) CHECK(!contains(goal.voters, learner));
  const MotionStep step = Planner(goal, facts).run();
  CHECK(step.kind == Kind::kWait || step.replica != facts.self, "a leader does not change itself");
  return step;
}

}  // namespace millrace::service
