// Voter sets without log entries: arXiv 2102.11960, "Design and Analysis of a Logless Dynamic
// Reconfiguration Protocol". The conditions are ConfigQuorumCheck, TermQuorumCheck and
// OplogCommitment of its specification.
#include <algorithm>

#include "broker/raft/group.h"
#include "broker/raft/group_turn.h"
#include "common/check.h"

namespace millrace::raft {

/// SendConfig: whoever does not lead takes a newer set, from anybody.
void Group::adopt(const VoterSet& config) {
  if (config.id == hard_.config.id && config != hard_.config) return odd(Oddity::kImpossible);
  if (config.id <= hard_.config.id) return;
  // A newer set than a leader's own was made in a later term, of which the message would tell.
  if (role_ == Role::kLeader) return odd(Oddity::kImpossible);
  CHECK(config.id.term <= hard_.term);
  hard_.config = config;
  hard_changed();
  notice(Notice::kConfigChanged);
  // Votes given for the old set do not count in the new one.
  if (role_ != Role::kFollower)
    become_follower(hard_.term, role_ == Role::kPreCandidate ? leader_ : ReplicaId{});
  if (!is_own_voter()) {
    election_at_ = kNever;
  } else if (election_at_ == kNever && (leader_.is_none() || suspected(leader_.node))) {
    arm_election(settings_->election_spread, settings_->election_spread);
  }
}

Refusal Group::check_change(Change change, const ReplicaId& replica) const {
  const VoterSet& config = hard_.config;
  switch (change) {
    case Change::kAddLearner:
      if (config.is_member(replica)) return Refusal::kAlreadySo;
      if (config.voters.size() + config.learners.size() >= kReplicasMax) return Refusal::kTooMany;
      return Refusal::kNone;
    case Change::kPromote: {
      if (config.is_voter(replica)) return Refusal::kAlreadySo;
      const Progress* peer = progress(replica);
      if (peer == nullptr) return Refusal::kUnknownReplica;
      if (config.voters.size() >= kVotersMax) return Refusal::kTooMany;
      const bool close = peer->state == Progress::State::kReplicate && peer->in_term &&
                         !peer->unclean && !peer->silent && !suspected(replica.node) &&
                         log_.end() - peer->acked.offset <= settings_->promotion_lag_max;
      return close ? Refusal::kNone : Refusal::kNotCaughtUp;
    }
    case Change::kDemote:
      if (config.is_learner(replica)) return Refusal::kAlreadySo;
      [[fallthrough]];
    case Change::kRemove:
      if (!config.is_member(replica)) return Refusal::kUnknownReplica;
      if (replica == self_) return Refusal::kSelf;
      return Refusal::kNone;
  }
  return Refusal::kUnknownReplica;
}

/// The three conditions of the paper. Each holds for good once it held: voter sets, terms and what
/// is acknowledged in a term only grow, so it does not matter that the answers are a little old.
Refusal Group::check_conditions() const {
  const std::size_t majority = hard_.config.majority();
  const std::size_t self = is_own_voter() ? 1 : 0;
  if (!confirmed_) return Refusal::kNotConfirmed;
  const std::size_t told =
      count_voters([&](const Progress& peer) { return peer.config_known == hard_.config.id; });
  if (told + (holding() ? 0 : self) < majority && !mutated(Mutation::kSkipConfigKnown))
    return Refusal::kConfigNotKnown;
  const auto held = quorum_offset(majority);
  if ((!held.has_value() || *held < commit_) && !mutated(Mutation::kSkipConfigCommitted))
    return Refusal::kNotCommitted;
  // Condition 3 follows: only replies in this term tell of a set that has this term in its name.
  const std::size_t in_term = count_voters([](const Progress& peer) { return peer.in_term; });
  CHECK(in_term + self >= majority || mutated(Mutation::kSkipConfigKnown));
  return Refusal::kNone;
}

VoterSet Group::changed_config(Change change, const ReplicaId& replica) const {
  VoterSet config = hard_.config;
  config.id = {hard_.term, hard_.config.id.version + 1};
  std::erase(config.voters, replica);
  std::erase(config.learners, replica);
  if (change == Change::kAddLearner || change == Change::kDemote)
    config.learners.push_back(replica);
  if (change == Change::kPromote) config.voters.push_back(replica);
  if (mutated(Mutation::kChangeTwoVoters) && change == Change::kPromote && config.voters.size() > 2)
    std::erase(config.voters, config.voters[config.voters[0] == self_ ? 1 : 0]);
  return config;
}

/// How many of these voters answer.
std::size_t Group::heard_of(const VoterSet& config) const {
  std::size_t heard = config.is_voter(self_) ? 1 : 0;
  for (const Progress& peer : peers_) {
    const bool answers = !suspected(peer.id.node) && !peer.silent && peer.in_term;
    heard += config.is_voter(peer.id) && answers ? 1 : 0;
  }
  return heard;
}

Refusal Group::reconfigure(Change change, const ReplicaId& replica, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (role_ != Role::kLeader) return Refusal::kNotLeader;
  if (!transfer_.to.is_none()) return Refusal::kBusy;
  if (const Refusal refused = check_change(change, replica); refused != Refusal::kNone)
    return refused;
  if (const Refusal refused = check_conditions(); refused != Refusal::kNone) return refused;
  VoterSet config = changed_config(change, replica);
  if (heard_of(config) < config.majority()) return Refusal::kTooFewHeard;
  CHECK(config.is_sound());
  CHECK(voters_changed(config, hard_.config) <= 1 || mutated(Mutation::kChangeTwoVoters));
  hard_.config = std::move(config);
  hard_changed();
  notice(Notice::kConfigChanged);
  if (!hard_.config.is_member(replica)) {
    // Nobody will speak to it any more: it hears of that once, if the message arrives.
    Message message = message_to(replica);
    message.config = hard_.config;
    const Position last = log_.last();
    message.body = Append{.prev = last, .term = last.term, .to = last.offset};
    send(std::move(message));
  }
  refresh_peers();
  push_all();
  advance_commit();
  check_quorum();
  return Refusal::kNone;
}

Refusal Group::recover_alone(Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (!leader_.is_none() && (leader_ == self_ || !suspected(leader_.node)))
    return Refusal::kAlreadySo;
  if (hard_.config.id.version == 0) return Refusal::kUnknownReplica;
  VoterSet config = hard_.config;
  config.learners.insert(config.learners.end(), config.voters.begin(), config.voters.end());
  std::erase(config.learners, self_);
  config.voters = {self_};
  become_follower(hard_.term + 1, ReplicaId{});
  config.id = {hard_.term, config.id.version + 1};
  CHECK(config.is_sound());
  hard_.config = std::move(config);
  // Its own vote is all there are, and marked: so the election is reported, and others may be cut
  // back to this log.
  hard_.unclean = true;
  ++hard_.incarnation;
  promised_to_ = kNobody;
  hard_changed();
  notice(Notice::kConfigChanged);
  election_at_ = now_;
  return Refusal::kNone;
}

}  // namespace millrace::raft
