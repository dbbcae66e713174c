#include "broker/raft/group.h"

#include <algorithm>

#include "broker/raft/group_turn.h"
#include "broker/raft/message_rules.h"
#include "common/check.h"

namespace millrace::raft {

Group::Group(const ReplicaId& self, GroupSettings group_settings, const Settings& settings,
             common::Random& random, Start start)
    : self_(self), settings_(&settings), random_(&random), group_settings_(group_settings) {
  CHECK(is_sound(start));
  CHECK(!self.is_none());
  hard_ = std::move(start.hard);
  log_ = std::move(start.log);
  durable_ = log_.last();
  // Who has seen no term has followed nobody.
  may_have_promised_ = start.may_have_promised && hard_.term > Term{0};
  commit_ = std::clamp(start.commit, log_.start(), log_.end());
  reported_commit_ = commit_;
  if (log_.last().term > hard_.term) {
    // The log got further than the hard state before a crash. Nothing was said in that term.
    hard_.term = log_.last().term;
    hard_.vote = ReplicaId{};
    hard_dirty_ = true;
  }
  if (start.lost_suffix) {
    hard_.unclean = true;
    ++hard_.incarnation;
    hard_dirty_ = true;
  }
}

Group::~Group() = default;

bool Group::is_sound(const Start& start) {
  const HardState& hard = start.hard;
  return hard.term >= Term{0} && hard.config.is_sound() && hard.config.id.term <= hard.term &&
         hard.loss_term >= Term{0} && hard.loss_term <= hard.term;
}

void Group::begin(Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (may_have_promised_) mute_until_ = now + settings_->election_timeout;
  if (!is_own_voter()) return;
  if (hard_.config.voters.size() == 1) {
    election_at_ = now;
  } else {
    arm_election(settings_->election_timeout, settings_->election_timeout);
  }
}

void Group::finish_turn() {
  CHECK(log_.start() <= commit_ && commit_ <= log_.end(), "commit {} outside [{}, {}]", commit_,
        log_.start(), log_.end());
  CHECK(durable_ <= log_.last());
  CHECK(log_.last().term <= hard_.term);
  CHECK(hard_.config.id.term <= hard_.term);
  CHECK(role_ == Role::kLeader || peers_.empty());
  CHECK(role_ != Role::kLeader || leader_ == self_);
  if (!hard_dirty_) return;
  hard_dirty_ = false;
  ++ticket_;
  out_->hard_state = hard_;
  out_->ticket = ticket_;
}

void Group::report(Ready& ready) {
  if (commit_ > reported_commit_ ||
      (mutated(Mutation::kHighWatermarkFalls) && commit_ != reported_commit_)) {
    reported_commit_ = commit_;
    ready.commit = commit_;
  }
  if (acknowledged_ > reported_acknowledged_) {
    reported_acknowledged_ = acknowledged_;
    ready.acknowledged = acknowledged_;
  }
  const RoleChange role{role_, hard_.term, leader_, role_ == Role::kLeader && confirmed_};
  if (role != reported_role_) {
    reported_role_ = role;
    ready.role = role;
  }
  if (role_ == Role::kLeader && reported_start_known_ < log_.start()) {
    const Offset known = majority_start();
    if (known > reported_start_known_) {
      reported_start_known_ = known;
      ready.start_known = known;
    }
  }
  const Offset trim_to = std::min(leader_log_start_, reported_commit_);
  if (trim_to > log_.start()) ready.trim_to = trim_to;
}

bool Group::same_replica(const ReplicaId& left, const ReplicaId& right) const {
  if (mutated(Mutation::kIgnoreDirectory)) return left.node == right.node;
  return left == right;
}

void Group::step(const Message& message, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (!same_replica(message.to, self_) || message.from == self_) return odd(Oddity::kWrongReplica);
  if (!raft::is_sound(message)) return odd(Oddity::kUnsound);
  hear_end_of_leadership(message);
  const bool is_pre = std::holds_alternative<VoteRequest>(message.body) &&
                      std::get<VoteRequest>(message.body).ballot == Ballot::kPre;
  if (message.term < hard_.term && !std::holds_alternative<VoteReply>(message.body) && !is_pre &&
      !(mutated(Mutation::kAcceptOldLeader) && std::holds_alternative<Append>(message.body))) {
    return step_stale(message);
  }
  // Also with a pre-ballot: a follower sends no heartbeats here and gets none, so this may be how
  // it learns that its leader leads no more; and a leader of an earlier term would hear of it
  // anyway.
  if (message.term > hard_.term) become_follower(message.term, ReplicaId{});
  if (message.config.has_value()) adopt(*message.config);
  dispatch(message);
}

void Group::dispatch(const Message& message) {
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    on_vote_request(message, *request);
  } else if (const auto* vote = std::get_if<VoteReply>(&message.body)) {
    on_vote_reply(message, *vote);
  } else if (const auto* append = std::get_if<Append>(&message.body)) {
    on_append(message, *append);
  } else if (const auto* install = std::get_if<Install>(&message.body)) {
    on_install(message, *install);
  } else if (const auto* reply = std::get_if<AppendReply>(&message.body)) {
    on_append_reply(message, *reply);
  } else {
    on_timeout_now(message);
  }
}

/// Of an earlier term: a leader or candidate learns of the newer one, anything else says nothing.
void Group::step_stale(const Message& message) {
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    Message answer = message_to(message.from);
    answer.body = VoteReply{request->ballot, request->candidate_term, false, hard_.unclean};
    send(std::move(answer));
  } else if (std::holds_alternative<Append>(message.body) ||
             std::holds_alternative<Install>(message.body)) {
    reply(message.from, std::nullopt);
  }
}

Message Group::message_to(const ReplicaId& to) const {
  return {.from = self_,
          .to = to,
          .term = hard_.term,
          .config_id = hard_.config.id,
          .config = std::nullopt,
          .body = TimeoutNow{}};
}

void Group::send(Message message) {
  out_->messages.push_back(std::move(message));
}

bool Group::suspected(model::BrokerId node) const {
  return std::ranges::find(suspects_, node) != suspects_.end();
}

void Group::set_suspected(model::BrokerId node, bool is) {
  const auto found = std::ranges::find(suspects_, node);
  if (is && found == suspects_.end() && suspects_.size() < 2 * kReplicasMax) {
    suspects_.push_back(node);
  } else if (!is && found != suspects_.end()) {
    suspects_.erase(found);
  }
}

Position Group::safe_end() const {
  return group_settings_.flush == FlushMode::kRelaxed ? log_.last() : durable_;
}

Instant Group::next_deadline() const {
  Instant at = std::min({election_at_, transfer_.deadline, commit_push_at_});
  for (const Progress& peer : peers_) at = std::min(at, peer.retry_at);
  return at;
}

void Group::tick(Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (role_ == Role::kLeader) {
    leader_tick();
  } else if (now >= election_at_) {
    election_due();
  }
}

void Group::suspect(model::BrokerId node, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (node == self_.node || suspected(node)) return;
  set_suspected(node, true);
  if (promised_to_ == node) promised_to_ = kNobody;
  if (role_ == Role::kLeader) {
    for (Progress& peer : peers_) {
      if (peer.id.node != node) continue;
      peer.retry_at = kNever;
      peer.trust = Trust::kNone;
    }
    if (transfer_.to.node == node) give_up_transfer();
    check_quorum();
  } else if (leader_.node == node && is_own_voter() && role_ == Role::kFollower) {
    arm_election(Duration{0}, settings_->election_spread);
  }
}

void Group::alive(model::BrokerId node, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  set_suspected(node, false);
  if (role_ == Role::kLeader) {
    for (Progress& peer : peers_) {
      if (peer.id.node != node || !needs(peer)) continue;
      peer.backoff = settings_->retry;
      retry(peer);
    }
  } else if (leader_.node == node && role_ != Role::kCandidate) {
    role_ = Role::kFollower;
    election_at_ = kNever;
  } else if (leader_.is_none() && is_own_voter() && role_ == Role::kFollower) {
    arm_election(settings_->election_spread, settings_->election_spread);
  }
}

void Group::restarted(model::BrokerId node, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  set_suspected(node, false);
  if (promised_to_ == node) promised_to_ = kNobody;
  if (role_ == Role::kLeader) {
    for (Progress& peer : peers_) {
      if (peer.id.node != node) continue;
      peer.trust = Trust::kNone;
      peer.backoff = settings_->retry;
      retry(peer);
    }
  } else if (leader_.node == node) {
    lost_leader();
  }
}

void Group::observe_term(Term term, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (term > hard_.term) become_follower(term, ReplicaId{});
}

void Group::durable(LogMark mark, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (mark.cuts != cuts_) return;
  CHECK(mark.end <= log_.last(), "durable is what was never written");
  const Position before = verified_end();
  durable_ = std::max(durable_, mark.end);
  if (role_ == Role::kLeader) return advance_commit();
  if (!leader_.is_none() && verified_end() != before) reply(leader_, std::nullopt);
}

void Group::persisted(std::uint32_t ticket, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  CHECK(ticket <= ticket_ && ticket >= persisted_);
  persisted_ = ticket;
  if (holding()) return;
  if (held_ != nullptr) {
    const std::unique_ptr<Held> held = std::move(held_);
    for (Message& message : held->messages) ready.messages.push_back(std::move(message));
    for (const Fetch& fetch : held->fetches) ready.fetches.push_back(fetch);
    for (const Notice what : held->notices) ready.notices.push_back(what);
  }
  if (role_ == Role::kCandidate && hard_.vote == self_) count_own_vote();
  if (role_ == Role::kLeader) push_all();
}

void Group::trimmed(Offset start, Instant now) {
  CHECK(start <= reported_commit_, "trimmed to {}, committed is {}", start, reported_commit_);
  if (start == log_.start()) return;
  log_.trim(start);
  now_ = now;
  if (!peers_.empty()) push_commit_soon();
}

void Group::push_commit_soon() {
  if (commit_push_at_ != kNever) return;
  const bool lazy = group_settings_.commit_news == CommitNews::kLazy;
  commit_push_at_ = now_ + (lazy ? settings_->commit_delay_lazy : settings_->commit_delay);
}

void Group::set_group_settings(GroupSettings settings, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  group_settings_ = settings;
  if (role_ == Role::kLeader) advance_commit();
}

std::size_t Group::memory_bytes() const {
  const auto bytes_of = []<typename T>(const std::vector<T>& list) {
    return list.capacity() * sizeof(T);
  };
  return sizeof(Group) + bytes_of(peers_) + bytes_of(suspects_) + bytes_of(log_.starts()) +
         bytes_of(hard_.config.voters) + bytes_of(hard_.config.learners) +
         (held_ == nullptr ? 0 : sizeof(Held));
}

}  // namespace millrace::raft
