// Taking over a leader's log: Raft 5.3 with term starts as entries of no width.
#include <algorithm>

#include "broker/raft/group.h"
#include "common/check.h"

namespace millrace::raft {

/// The sender leads in this replica's term. False: it cannot.
bool Group::follow(const Message& message) {
  if (role_ == Role::kLeader || (!leader_.is_none() && leader_ != message.from)) {
    odd(Oddity::kTwoLeaders);
    return false;
  }
  if (role_ != Role::kFollower || leader_.is_none()) become_follower(hard_.term, message.from);
  if (!suspected(leader_.node)) election_at_ = kNever;
  return true;
}

Position Group::verified_end() const {
  if (mutated(Mutation::kAckUnverified)) return safe_end();
  if (mutated(Mutation::kAckBeforeDurable)) return verified_;
  return std::min(safe_end(), verified_);
}

void Group::write(LogWrite what) {
  what.mark = {cuts_, log_.last()};
  out_->writes.push_back(what);
}

void Group::on_append(const Message& message, const Append& append) {
  if (!follow(message)) return;
  if (append.loss_term > hard_.loss_term) {
    hard_.loss_term = append.loss_term;
    hard_changed();
  }
  leader_log_start_ = append.log_start;
  if (!log_.contains(append.prev)) {
    AppendReply::Mismatch mismatch{
        .prev = append.prev, .log_start = log_.start(), .log_end = log_.end(), .starts = {}};
    // What lies behind the question's term cannot be common to both.
    for (const TermStart& start : log_.starts()) {
      if (start.term > append.prev.term) {
        mismatch.log_end = start.offset;
        break;
      }
      mismatch.starts.push_back(start);
    }
    if (mismatch.starts.size() > kStartsPerReply)
      mismatch.starts.erase(mismatch.starts.begin(), mismatch.starts.end() - kStartsPerReply);
    mismatch.log_end = std::max(mismatch.log_end, mismatch.log_start);
    return reply(message.from, std::move(mismatch));
  }

  const Position target{append.term, append.to};
  const Position agreed = log_.agreement(append.prev, append.term, append.to);
  const LogMark before{cuts_, log_.last()};
  if (agreed < target || mutated(Mutation::kTruncateOnRepeat)) {
    if (log_.last() != agreed && !make_room(agreed, append.term)) return;
    if (agreed < target) {
      if (log_.last().term != append.term) begin_term(append.term);
      if (log_.end() < append.to) {
        const Offset from = log_.end();
        log_.extend(append.to);
        write({.kind = LogWrite::Kind::kAppend,
               .from = from,
               .to = append.to,
               .start = log_.starts().back(),
               .mark = {}});
      }
    }
    CHECK(log_.contains(target));
  }
  const bool wrote = !(before == LogMark{cuts_, log_.last()});
  if (mutated(Mutation::kForgetTermStart) && wrote && append.to == append.prev.offset)
    durable_ = log_.last();
  verified_ = std::max(verified_, target);
  note_leaders_commit(append, target);
  readmit_if_caught_up(append);
  const bool waits =
      wrote && group_settings_.flush == FlushMode::kStrict && !mutated(Mutation::kAckBeforeDurable);
  if (!waits || append.probe) reply(message.from, std::nullopt);
}

void Group::begin_term(Term term) {
  const bool replaces = !log_.starts().empty() && log_.starts().back().offset == log_.end();
  log_.begin_term(term);
  if (replaces) {
    // The start of a term that wrote nothing is gone: it no longer names a place in this log.
    const Position before = log_.before_last_start().value_or(Position{});
    durable_ = std::min(durable_, before);
    verified_ = std::min(verified_, before);
    ++cuts_;
  }
  write({.kind = LogWrite::Kind::kTermStart,
         .from = log_.end(),
         .to = log_.end(),
         .start = log_.starts().back(),
         .mark = {}});
}

/// Takes away what lies behind `agreed`, as the leader has something else there. False: refused.
bool Group::make_room(Position agreed, Term next) {
  // Only where an unclean election lost something committed may that be cut, and only what is of
  // an earlier term than that election.
  const bool lost = log_.last().term < hard_.loss_term;
  if (agreed.offset < commit_) {
    if (!lost && !mutated(Mutation::kTruncateOnRepeat)) {
      odd(Oddity::kCutsCommitted);
      return false;
    }
    notice(Notice::kLostCommitted);
    forget_commit(agreed.offset);
  }
  const bool data = log_.end() > agreed.offset;
  const bool replaced = !data && next > log_.last().term;
  log_.cut(agreed);
  ++cuts_;
  durable_ = std::min(durable_, agreed);
  verified_ = std::min(verified_, agreed);
  // A term that wrote nothing goes when the next one starts at the same offset.
  if (replaced) return true;
  write({.kind = LogWrite::Kind::kTruncate,
         .from = agreed.offset,
         .to = agreed.offset,
         .start = {},
         .mark = {}});
  return true;
}

void Group::forget_commit(Offset end) {
  commit_ = end;
  acknowledged_ = std::min(acknowledged_, end);
  reported_commit_ = std::min(reported_commit_, end);
  reported_acknowledged_ = std::min(reported_acknowledged_, end);
}

void Group::note_leaders_commit(const Append& append, Position target) {
  Offset commit = std::min(append.commit, target.offset);
  if (mutated(Mutation::kCommitUnverified)) commit = std::min(append.commit, log_.end());
  if (mutated(Mutation::kHighWatermarkFalls)) {
    commit_ = std::max(commit, log_.start());
    return;
  }
  commit_ = std::max(commit_, commit);
}

/// This replica had lost something; now the leader has given it all that could have been committed
/// with its help, and will not rely on what it said before.
void Group::readmit_if_caught_up(const Append& append) {
  if (!hard_.unclean) return;
  if (!mutated(Mutation::kReadmitEarly)) {
    if (append.incarnation != hard_.incarnation || !append.commit_confirmed) return;
    const Position safe = verified_end();
    if (safe.term != hard_.term || safe.offset < append.commit) return;
  }
  hard_.unclean = false;
  hard_changed();
  notice(Notice::kReadmitted);
}

void Group::on_install(const Message& message, const Install& install) {
  if (!follow(message)) return;
  if (install.loss_term > hard_.loss_term) {
    hard_.loss_term = install.loss_term;
    hard_changed();
  }
  leader_log_start_ = install.at.offset;
  if (log_.contains(install.at)) {
    verified_ = std::max(verified_, install.at);
    return reply(message.from, std::nullopt);
  }
  if (install.at.offset < commit_ && log_.last().term >= hard_.loss_term)
    return odd(Oddity::kCutsCommitted);
  if (install.at.offset < commit_) {
    notice(Notice::kLostCommitted);
    forget_commit(install.at.offset);
  }
  log_.reset(install.at, install.first);
  ++cuts_;
  durable_ = {};
  verified_ = install.at;
  commit_ = install.at.offset;
  write({.kind = LogWrite::Kind::kReset,
         .from = install.at.offset,
         .to = install.at.offset,
         .start = install.first,
         .mark = {}});
  if (group_settings_.flush == FlushMode::kRelaxed) reply(message.from, std::nullopt);
}

/// What the leader of this term is told that it may count on.
Trust Group::promise_to(const ReplicaId& leader) {
  if (leader != leader_ || suspected(leader.node) || settings_->contacts == nullptr)
    return Trust::kNone;
  const Trust trust = settings_->contacts->promise(leader.node);
  if (trust == Trust::kNone) return trust;
  promised_to_ = leader.node;
  promised_in_ = hard_.term;
  // Whoever was promised something before this leads no more, or is this one.
  mute_until_ = Instant{};
  return trust;
}

void Group::reply(const ReplicaId& to, std::optional<AppendReply::Mismatch> mismatch) {
  Message message = message_to(to);
  const Position received = std::min(verified_, log_.last());
  message.body = AppendReply{.acked = std::min(verified_end(), log_.last()),
                             .received = std::max(received, std::min(verified_end(), log_.last())),
                             .commit = commit_,
                             .start_heard = std::max(leader_log_start_, log_.start()),
                             .incarnation = hard_.incarnation,
                             .unclean = hard_.unclean,
                             .trust = promise_to(to),
                             .mismatch = std::move(mismatch)};
  send(std::move(message));
}

}  // namespace millrace::raft
