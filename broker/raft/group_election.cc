// Who leads: Raft 5.2 and 5.4.1, with PreVote (thesis 9.6) and the voter sets of arXiv 2102.11960.
#include <algorithm>
#include <bit>

#include "broker/raft/group.h"
#include "broker/raft/group_turn.h"
#include "common/check.h"

namespace millrace::raft {
namespace {

constexpr Term kLastTerm{INT32_MAX - 2};

int votes_in(std::uint16_t mask) {
  return std::popcount(mask);
}

}  // namespace

void Group::arm_election(Duration low, Duration width) {
  const auto spread =
      width.count() > 0 ? random_->below(static_cast<std::uint64_t>(width.count())) : 0;
  election_at_ = now_ + low + Duration{static_cast<Duration::rep>(spread)};
}

void Group::become_follower(Term term, const ReplicaId& leader) {
  CHECK(term >= hard_.term);
  if (term > hard_.term) {
    hard_.term = term;
    hard_.vote = ReplicaId{};
    verified_ = {};
    leader_log_start_ = {};
    hard_changed();
  }
  role_ = Role::kFollower;
  leader_ = leader;
  confirmed_ = false;
  reported_start_known_ = {};
  peers_.clear();
  peers_.shrink_to_fit();
  transfer_ = {};
  votes_ = {};
  commit_push_at_ = kNever;
  election_at_ = kNever;
  if (leader_.is_none() && is_own_voter())
    arm_election(settings_->election_timeout / 2, settings_->election_timeout / 2);
}

void Group::lost_leader() {
  become_follower(hard_.term, ReplicaId{});
  if (is_own_voter()) arm_election(Duration{0}, settings_->election_spread);
}

/// Fewer than a majority can be heard: nobody here could win or keep on leading.
bool Group::enough_heard() const {
  std::size_t heard = 0;
  for (const ReplicaId& voter : hard_.config.voters)
    heard += voter == self_ || !suspected(voter.node) ? 1 : 0;
  return heard >= hard_.config.majority();
}

void Group::election_due() {
  election_at_ = kNever;
  if (!is_own_voter()) return;
  if (!enough_heard()) {
    // alive() will make this shorter.
    if (role_ != Role::kFollower) become_follower(hard_.term, ReplicaId{});
    return arm_election(settings_->election_timeout * 5, settings_->election_timeout);
  }
  stand(Ballot::kPre);
}

void Group::campaign(Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (role_ == Role::kLeader || !is_own_voter()) return;
  stand(Ballot::kPre);
}

/// Whether a leader may still count on this replica that it votes for nobody else.
bool Group::is_bound(const ReplicaId& candidate) const {
  if (promised_to_ != kNobody && promised_to_ != candidate.node && !suspected(promised_to_))
    return !mutated(Mutation::kVoteDespitePromise);
  if (now_ >= mute_until_ || mutated(Mutation::kVoteAfterRestart)) return false;
  // Whom it promised something before it was restarted is not known: any that is still heard.
  return std::ranges::any_of(hard_.config.voters, [&](const ReplicaId& voter) {
    return voter != self_ && voter.node != candidate.node && !suspected(voter.node);
  });
}

/// Who was promised something may show that it leads no more.
void Group::hear_end_of_leadership(const Message& message) {
  if (message.from.node != promised_to_) return;
  const auto* request = std::get_if<VoteRequest>(&message.body);
  // What it asked before it led may come late.
  const bool stands_again = request != nullptr && request->candidate_term > promised_in_;
  // To its heir, or in its last words: from then on it counts on nobody.
  const bool hands_over =
      message.term == promised_in_ && std::holds_alternative<TimeoutNow>(message.body);
  if (message.term > promised_in_ || stands_again || hands_over) promised_to_ = kNobody;
}

void Group::stand(Ballot ballot, Claim claim) {
  CHECK(is_own_voter());
  CHECK(role_ != Role::kLeader);
  if (hard_.term >= kLastTerm) return;
  votes_ = {};
  if (ballot == Ballot::kReal) {
    become_follower(hard_.term + 1, ReplicaId{});
    hard_.vote = self_;
    promised_to_ = kNobody;
  }
  role_ = ballot == Ballot::kReal ? Role::kCandidate : Role::kPreCandidate;
  arm_election(settings_->election_timeout / 2, settings_->election_timeout / 2);
  const Term wanted = ballot == Ballot::kReal ? hard_.term : hard_.term + 1;
  for (const ReplicaId& voter : hard_.config.voters) {
    if (voter == self_) continue;
    Message message = message_to(voter);
    message.config = hard_.config;
    message.body = VoteRequest{.ballot = ballot,
                               .candidate_term = wanted,
                               .last = log_.last(),
                               .handed_over = claim == Claim::kHeir};
    send(std::move(message));
  }
  // The own vote of a real ballot counts once it is durable (persisted()).
  if (ballot == Ballot::kPre) count_own_vote();
}

/// Its bit in a set of votes; 0: it does not vote.
std::uint16_t Group::vote_of(const ReplicaId& voter) const {
  for (std::size_t i = 0; i < hard_.config.voters.size(); ++i) {
    if (same_replica(hard_.config.voters[i], voter)) return static_cast<std::uint16_t>(1U << i);
  }
  return 0;
}

void Group::count_own_vote() {
  const std::uint16_t own = vote_of(self_);
  votes_.granted |= own;
  if (hard_.unclean && !mutated(Mutation::kUncleanVotes)) votes_.unclean |= own;
  count_votes();
}

void Group::count_votes() {
  CHECK(role_ == Role::kPreCandidate || role_ == Role::kCandidate);
  const int voters = static_cast<int>(hard_.config.voters.size());
  const int majority = static_cast<int>(hard_.config.majority());
  const int clean = votes_in(votes_.granted & static_cast<std::uint16_t>(~votes_.unclean));
  const bool all = votes_in(votes_.granted) == voters;
  const bool self_clean = !hard_.unclean || mutated(Mutation::kUncleanVotes);
  if (all || (clean >= majority && self_clean)) {
    if (role_ == Role::kCandidate) return become_leader(clean < majority);
    // Where it has promised its own vote to somebody, a later ballot will do.
    if (!is_bound(self_)) stand(Ballot::kReal);
    return;
  }
  if (votes_in(votes_.rejected) <= voters - majority) return;
  // It cannot win any more. Its old leader is still remembered after a pre-ballot: that may be
  // well.
  const ReplicaId leader = role_ == Role::kPreCandidate ? leader_ : ReplicaId{};
  become_follower(hard_.term, leader);
  if (leader.is_none() || suspected(leader.node))
    arm_election(settings_->election_spread, settings_->election_spread);
}

void Group::become_leader(bool lossy) {
  CHECK(role_ == Role::kCandidate);
  CHECK(log_.last().term < hard_.term, "a term that has a leader already");
  role_ = Role::kLeader;
  leader_ = self_;
  votes_ = {};
  election_at_ = kNever;
  confirmed_ = mutated(Mutation::kServeUnconfirmed);
  hard_.config.id.term = hard_.term;
  if (lossy) {
    hard_.loss_term = hard_.term;
    notice(Notice::kUncleanElection);
  }
  hard_.unclean = false;  // all voters agreed that this log is what there is
  hard_changed();
  begin_term(hard_.term);
  refresh_peers();
  push_all();
  advance_commit();
}

bool Group::would_vote(const Message& message, const VoteRequest& request) const {
  const bool is_pre = request.ballot == Ballot::kPre;
  if (request.candidate_term < hard_.term || role_ == Role::kLeader) return false;
  if (is_bound(message.from) && !request.handed_over) return false;
  if (is_pre) {
    if (request.candidate_term == hard_.term) return false;
    const bool has_leader = !leader_.is_none() && !suspected(leader_.node);
    if (has_leader && leader_ != message.from) return false;
    // Of two that stand at once one gives way, so that they do not take each other's votes.
    const bool first =
        log_.last() > request.last || (log_.last() == request.last && self_ < message.from);
    if (role_ == Role::kPreCandidate && first && !hard_.unclean) return false;
  } else if (!hard_.vote.is_none() && !same_replica(hard_.vote, message.from) &&
             !mutated(Mutation::kVoteTwice)) {
    return false;
  } else if (!leader_.is_none() && leader_ != message.from) {
    return false;  // this term's leader is known: the vote could not help anybody
  }
  if (message.config_id < hard_.config.id && !mutated(Mutation::kVoteForOlderConfig)) return false;
  return request.last >= log_.last() || mutated(Mutation::kVoteForShorterLog);
}

void Group::on_vote_request(const Message& message, const VoteRequest& request) {
  const bool granted = would_vote(message, request);
  if (role_ == Role::kLeader) {
    // It has lost sight of this leader.
    if (Progress* peer = find_peer(message.from)) retry(*peer);
  } else if (leader_ == message.from && request.candidate_term > hard_.term) {
    // A leader that stands again leads no more.
    lost_leader();
  }
  if (granted && role_ == Role::kPreCandidate) {
    become_follower(hard_.term, leader_);
    arm_election(settings_->election_timeout / 2, settings_->election_timeout / 2);
  }
  if (granted && request.ballot == Ballot::kReal) {
    CHECK(request.candidate_term == hard_.term);
    promised_to_ = kNobody;
    if (hard_.vote != message.from) {
      hard_.vote = message.from;
      hard_changed();
    }
    role_ = Role::kFollower;
    if (is_own_voter())
      arm_election(settings_->election_timeout / 2, settings_->election_timeout / 2);
  }
  Message answer = message_to(message.from);
  if (hard_.config.id > message.config_id && !mutated(Mutation::kVoteForOlderConfig))
    answer.config = hard_.config;
  answer.body = VoteReply{request.ballot, request.candidate_term, granted,
                          hard_.unclean && !mutated(Mutation::kUncleanVotes)};
  send(std::move(answer));
  // Who refused while it still heard the leader has lost it too by now, and gives way if it is
  // asked again. Otherwise both would wait until their ballots time out.
  const bool both_stand = role_ == Role::kPreCandidate && request.ballot == Ballot::kPre &&
                          request.candidate_term == hard_.term + 1;
  if (both_stand && !granted && has_refused(message.from)) stand(Ballot::kPre);
}

bool Group::has_refused(const ReplicaId& voter) const {
  return (votes_.rejected & vote_of(voter)) != 0;
}

void Group::on_vote_reply(const Message& message, const VoteReply& reply) {
  const bool pre = role_ == Role::kPreCandidate && reply.ballot == Ballot::kPre &&
                   reply.candidate_term == hard_.term + 1;
  const bool real = role_ == Role::kCandidate && reply.ballot == Ballot::kReal &&
                    reply.candidate_term == hard_.term;
  if (!pre && !real) return;
  const std::uint16_t vote = vote_of(message.from);
  if (!reply.granted) {
    votes_.rejected |= vote;
  } else {
    votes_.granted |= vote;
    if (reply.unclean) votes_.unclean |= vote;
  }
  count_votes();
}

void Group::on_timeout_now(const Message& message) {
  if (message.from != leader_ || !is_own_voter() || hard_.unclean) return;
  stand(Ballot::kReal, Claim::kHeir);
}

}  // namespace millrace::raft
