// Pushing the log to the others and counting what they hold: Raft 5.3 and 5.4.2.
#include <algorithm>

#include "broker/raft/group.h"
#include "broker/raft/group_turn.h"
#include "common/check.h"

namespace millrace::raft {

Progress* Group::find_peer(const ReplicaId& replica) {
  for (Progress& peer : peers_) {
    if (same_replica(peer.id, replica)) return &peer;
  }
  return nullptr;
}

const Progress* Group::progress(const ReplicaId& replica) const {
  for (const Progress& peer : peers_) {
    if (peer.id == replica) return &peer;
  }
  return nullptr;
}

/// Makes peers_ be the members of the voter set but this replica; those that stay keep their state.
void Group::refresh_peers() {
  std::vector<Progress> fresh;
  const auto add = [&](const ReplicaId& replica) {
    if (replica == self_) return;
    if (const Progress* known = progress(replica)) return fresh.push_back(*known);
    Progress peer;
    peer.id = replica;
    // Optimistic: most have all but this term's start.
    peer.next = log_.before_last_start().value_or(log_.last());
    peer.backoff = settings_->retry;
    peer.caught_up_at = now_;
    peer.last_reply_at = now_;
    peer.end_at_last_reply = log_.end();
    fresh.push_back(peer);
  };
  fresh.reserve(hard_.config.voters.size() + hard_.config.learners.size());
  for (const ReplicaId& voter : hard_.config.voters) add(voter);
  for (const ReplicaId& learner : hard_.config.learners) add(learner);
  peers_ = std::move(fresh);
}

/// Whether anything is missing over there, or not known to be there.
bool Group::needs(const Progress& peer) const {
  return peer.state != Progress::State::kReplicate || peer.inflight_count > 0 ||
         peer.acked < log_.last() || peer.commit_known < commit_ ||
         peer.start_known < log_.start() || peer.config_known < hard_.config.id || peer.unclean ||
         owes_promise(peer);
}

/// Its broker says that it takes this one for alive, and the replica did not promise anything
/// since.
bool Group::owes_promise(const Progress& peer) const {
  const Word* const word =
      settings_->contacts == nullptr ? nullptr : settings_->contacts->word(peer.id.node);
  return word != nullptr && word->trust != Trust::kNone && word->trust != peer.trust &&
         hard_.config.is_voter(peer.id);
}

/// It votes for nobody else at this time.
bool Group::vouches(const Progress& peer, Instant now) const {
  const Word* const word =
      settings_->contacts == nullptr ? nullptr : settings_->contacts->word(peer.id.node);
  if (word == nullptr) return false;
  // As it was before there were words.
  if (word->wordless) return peer.in_term && !peer.silent && !suspected(peer.id.node);
  const bool promised = word->trust == peer.trust || mutated(Mutation::kTrustAnyWord);
  return promised && word->trust != Trust::kNone && now < word->heard + reliable(word->patience);
}

bool Group::leased(Instant now) const {
  if (role_ != Role::kLeader) return false;
  if (mutated(Mutation::kServeWithoutLease)) return true;
  if (transfer_.told && !mutated(Mutation::kLeaseInTransfer)) return false;
  const std::size_t self = is_own_voter() ? 1 : 0;
  const std::size_t majority = hard_.config.majority();
  if (self >= majority) return true;
  return self + count_voters([&](const Progress& peer) { return vouches(peer, now); }) >= majority;
}

void Group::wait_for(Progress& peer) {
  if (peer.waiting_since == kNever) peer.waiting_since = now_;
  if (peer.retry_at == kNever) peer.retry_at = now_ + peer.backoff;
}

void Group::send_append(Progress& peer, Position prev, Stretch what, std::uint32_t bytes,
                        bool probe) {
  CHECK(log_.contains(prev));
  CHECK(what.term <= hard_.term && what.end >= prev.offset);
  Message message = message_to(peer.id);
  if (peer.config_known < hard_.config.id) message.config = hard_.config;
  message.body = Append{.prev = prev,
                        .term = what.term,
                        .to = what.end,
                        .bytes = bytes,
                        .commit = commit_,
                        .commit_confirmed = confirmed_,
                        .log_start = log_.start(),
                        .loss_term = hard_.loss_term,
                        .incarnation = peer.incarnation,
                        .probe = probe};
  peer.commit_sent = commit_;
  peer.config_sent = hard_.config.id;
  send(std::move(message));
  wait_for(peer);
}

/// No data: the next term start, if one comes right behind what was sent, and all that every
/// message carries.
void Group::send_empty(Progress& peer, bool probe) {
  const Stretch next = log_.after(peer.next);
  const Position prev = peer.next;
  if (next.term == prev.term || !peer.may_send(*settings_))
    return send_append(peer, prev, {prev.term, prev.offset}, 0, probe);
  // While asking, what is sent along is not counted on.
  if (peer.state == Progress::State::kReplicate) peer.sent({next.term, prev.offset}, 0);
  send_append(peer, prev, {next.term, prev.offset}, 0, probe);
}

void Group::ask_fetch(Progress& peer, bool install) {
  peer.fetching = true;
  ++peer.fetch_id;
  Fetch fetch{.to = peer.id, .id = peer.fetch_id, .install = install, .from = {}, .up_to = {}};
  if (!install) {
    fetch.from = peer.next.offset;
    fetch.up_to = log_.after(peer.next).end;
    fetch.bytes_max = settings_->append_bytes_max;
  }
  out_->fetches.push_back(fetch);
}

/// Sends or has read what can go to this replica now.
void Group::push(Progress& peer) {
  if (suspected(peer.id.node)) return;
  if (peer.state == Progress::State::kInstall) {
    if (!peer.asked && !peer.fetching) ask_fetch(peer, true);
    return wait_for(peer);
  }
  if (!log_.contains(peer.next)) {
    // The log was trimmed under it.
    peer.probe_from(log_.last());
  }
  if (peer.state == Progress::State::kProbe) {
    if (peer.asked) return;
    peer.asked = true;
    return send_empty(peer, true);
  }
  if (peer.fetching) return;
  const Stretch next = log_.after(peer.next);
  if (next.end > peer.next.offset) {
    if (peer.may_send(*settings_)) ask_fetch(peer, false);
  } else if (next.term != peer.next.term || peer.config_sent < hard_.config.id) {
    if (peer.may_send(*settings_)) send_empty(peer, false);
  }
  if (needs(peer)) wait_for(peer);
}

void Group::push_all() {
  for (Progress& peer : peers_) push(peer);
}

bool Group::fetched(const Fetch& fetch, Offset to, std::uint32_t bytes, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  Progress* peer = role_ == Role::kLeader ? find_peer(fetch.to) : nullptr;
  if (peer == nullptr || !peer->fetching || peer->fetch_id != fetch.id || fetch.install)
    return false;
  peer->fetching = false;
  // Not while a hard state is being written: persisted() asks for it again.
  if (holding() || peer->next.offset != fetch.from || !log_.contains(peer->next)) return false;
  CHECK(fetch.from <= to && to <= fetch.up_to);
  if (to == fetch.from) return false;
  const Position prev = peer->next;
  const Stretch what{log_.after(prev).term, to};
  peer->sent({what.term, to}, bytes);
  // Pushing further may ask for more, but sends nothing: what is in the log behind this is data,
  // or the start of a term with data behind it.
  if (log_.end() > to && peer->may_send(*settings_)) ask_fetch(*peer, false);
  send_append(*peer, prev, what, bytes, false);
  return true;
}

bool Group::renew(Fetch& fetch) const {
  const Progress* peer = role_ == Role::kLeader ? progress(fetch.to) : nullptr;
  if (peer == nullptr || !peer->fetching || peer->fetch_id != fetch.id) return false;
  // Where the log was trimmed under it the read fails, and that is its answer.
  if (!fetch.install && log_.contains(peer->next)) fetch.up_to = log_.after(peer->next).end;
  return true;
}

bool Group::install_ready(const Fetch& fetch, Offset at, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  Progress* peer = role_ == Role::kLeader ? find_peer(fetch.to) : nullptr;
  if (peer == nullptr || !peer->fetching || peer->fetch_id != fetch.id || !fetch.install)
    return false;
  peer->fetching = false;
  if (holding()) return false;
  if (at != log_.start()) {
    // Trimmed meanwhile: again.
    push(*peer);
    return false;
  }
  peer->asked = true;
  Message message = message_to(peer->id);
  if (peer->config_known < hard_.config.id) message.config = hard_.config;
  message.body =
      Install{.at = {log_.first().term, at}, .first = log_.first(), .loss_term = hard_.loss_term};
  peer->config_sent = hard_.config.id;
  send(std::move(message));
  wait_for(*peer);
  return true;
}

LogMark Group::propose(Offset to, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  CHECK(accepts_proposals());
  CHECK(to > log_.end(), "nothing new up to {}, the log ends at {}", to, log_.end());
  for (Progress& peer : peers_) {
    // Also after a long time in which nothing was written, and so nobody answered.
    if (peer.acked == log_.last()) peer.caught_up_at = now_;
  }
  log_.extend(to);
  push_all();
  advance_commit();
  return {cuts_, log_.last()};
}

void Group::on_append_reply(const Message& message, const AppendReply& reply) {
  if (role_ != Role::kLeader) return;
  Progress* peer = find_peer(message.from);
  if (peer == nullptr) return;
  // A position in front of the log's start cannot be looked up, but is nothing to count on either.
  const auto fits = [&](Position position) {
    return position.offset < log_.start() || log_.contains(position);
  };
  if (!fits(reply.acked) || !fits(reply.received)) return odd(Oddity::kImpossible);
  if (!forget_lost_acks(*peer, reply)) return;
  peer->in_term = true;
  peer->silent = false;
  peer->unclean = reply.unclean;
  peer->trust = std::max(peer->trust, reply.trust);
  peer->config_known = std::max(peer->config_known, std::min(message.config_id, hard_.config.id));
  peer->commit_known = std::max(peer->commit_known, std::min(reply.commit, commit_));
  peer->start_known = std::max(peer->start_known, std::min(reply.start_heard, log_.start()));
  // A leader before this one has trimmed further, and perhaps said so to somebody.
  leader_log_start_ = std::max(leader_log_start_, reply.start_heard);
  peer->acked = std::max(peer->acked, reply.acked);
  peer->arrived(peer->acked.offset);
  peer->note_caught_up(now_, log_.end());
  peer->waiting_since = kNever;
  peer->retry_at = kNever;
  peer->backoff = settings_->retry;
  if (reply.mismatch.has_value()) {
    on_mismatch(*peer, *reply.mismatch);
  } else {
    on_match(*peer, reply);
  }
  advance_commit();
  push(*peer);
  // It may take part again as soon as it hears that all it could have forgotten is there.
  const bool tell = peer->unclean && confirmed_ && peer->state == Progress::State::kReplicate &&
                    peer->acked.term == hard_.term && peer->acked.offset >= commit_;
  if (tell && !peer->fetching && peer->inflight_count == 0) send_empty(*peer, false);
  if (needs(*peer)) wait_for(*peer);
  hand_over_if_ready();
}

/// A replica that restarted without a part of its log says so with a higher incarnation: from then
/// on nothing that it acknowledged before counts. False: this is such an old acknowledgement.
bool Group::forget_lost_acks(Progress& peer, const AppendReply& reply) {
  if (mutated(Mutation::kIgnoreIncarnation)) {
    peer.incarnation = std::max(peer.incarnation, reply.incarnation);
    return true;
  }
  if (reply.incarnation < peer.incarnation) return false;
  if (reply.incarnation == peer.incarnation) return true;
  peer.incarnation = reply.incarnation;
  peer.acked = {};
  const Position from = log_.contains(peer.next) ? peer.next : log_.last();
  if (peer.state != Progress::State::kProbe) peer.probe_from(from);
  return true;
}

void Group::on_match(Progress& peer, const AppendReply& reply) {
  const Position has = std::max(peer.acked, reply.received);
  if (!log_.contains(has)) return;  // not even our log's start; retried or installed
  switch (peer.state) {
    case Progress::State::kProbe:
      if (has < peer.next) return;  // an answer to something older
      replicate_from(peer, has);
      break;
    case Progress::State::kInstall:
      if (has != Position{} || log_.start() == Offset{0}) replicate_from(peer, has);
      break;
    case Progress::State::kReplicate:
      if (peer.next < has) replicate_from(peer, has);
      break;
  }
}

void Group::replicate_from(Progress& peer, Position from) {
  CHECK(log_.contains(from));
  peer.forget_inflight();
  peer.state = Progress::State::kReplicate;
  peer.asked = false;
  peer.next = from;
}

void Group::on_mismatch(Progress& peer, const AppendReply::Mismatch& mismatch) {
  if (peer.state == Progress::State::kInstall) return;
  if (mismatch.prev <= peer.acked && peer.acked != Position{}) return;  // old: it has that by now
  const bool answered = peer.state == Progress::State::kProbe;
  if (answered && mismatch.prev != peer.next) return;  // an answer to something older
  const auto common = log_.fork(mismatch.starts, mismatch.log_end, mismatch.log_start);
  if (common.has_value()) {
    const Position from = log_.contains(peer.acked) ? std::max(*common, peer.acked) : *common;
    // Unasked, something was lost on the way, and all that came behind it does not fit either: one
    // question at the place that this answer shows, so that the others start nothing.
    return answered ? replicate_from(peer, from) : peer.probe_from(from);
  }
  const Term oldest = mismatch.starts.empty() ? Term{0} : mismatch.starts.front().term;
  const auto older = log_.before(oldest);
  if (mismatch.starts.size() == kStartsPerReply && older.has_value() &&
      older->offset >= mismatch.log_start) {
    peer.probe_from(*older);
    return;
  }
  peer.forget_inflight();
  peer.state = Progress::State::kInstall;
  peer.asked = false;
}

/// The offset that so many voters hold, this replica counted where it is durable, counting only
/// what was acknowledged together with this term's start (Raft 5.4.2).
std::optional<Offset> Group::quorum_offset(std::size_t count) const {
  const bool any_term = mutated(Mutation::kCommitOldTerms);
  std::array<Offset, kReplicasMax + 1> held;
  std::size_t holders = 0;
  const auto add = [&](Position position) {
    if (position.term == hard_.term || any_term) held[holders++] = position.offset;
  };
  if (is_own_voter()) add(mutated(Mutation::kCountOwnUnsynced) ? log_.last() : safe_end());
  for (const Progress& peer : peers_) {
    if (hard_.config.is_voter(peer.id) || mutated(Mutation::kCountLearners)) add(peer.acked);
  }
  if (holders < count) return std::nullopt;
  const auto end = held.begin() + static_cast<std::ptrdiff_t>(holders);
  const auto nth = held.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(held.begin(), nth, end, std::greater<>());
  return *nth;
}

/// Where a majority of the voters has heard that the log begins, this replica counted.
Offset Group::majority_start() const {
  std::array<Offset, kReplicasMax + 1> heard;
  std::size_t voters = 0;
  if (is_own_voter()) heard[voters++] = log_.start();
  for (const Progress& peer : peers_) {
    if (hard_.config.is_voter(peer.id)) heard[voters++] = std::min(peer.start_known, log_.start());
  }
  const std::size_t majority = hard_.config.majority();
  CHECK(voters >= majority);
  const auto nth = heard.begin() + static_cast<std::ptrdiff_t>(majority - 1);
  std::nth_element(heard.begin(), nth, heard.begin() + static_cast<std::ptrdiff_t>(voters),
                   std::greater<>());
  return *nth;
}

void Group::advance_commit() {
  const std::size_t majority = hard_.config.majority();
  const std::optional<Offset> held = quorum_offset(majority);
  if (!held.has_value()) return;
  if (*held > commit_ || !confirmed_) {
    confirmed_ = true;
    commit_ = std::max(commit_, *held);
    if (!peers_.empty()) push_commit_soon();
  }
  std::size_t enough = std::max<std::size_t>(majority, group_settings_.min_insync);
  if (mutated(Mutation::kInsyncIgnored)) enough = majority;
  // What both ask for is most often the same, and this is asked at each append.
  const std::optional<Offset> safe = enough == majority ? held : quorum_offset(enough);
  if (safe.has_value()) acknowledged_ = std::max(acknowledged_, std::min(*safe, commit_));
}

void Group::leader_tick() {
  if (now_ >= commit_push_at_) {
    commit_push_at_ = kNever;
    for (Progress& peer : peers_) {
      const bool news = peer.commit_sent < commit_ || peer.start_known < log_.start();
      const bool due = peer.state == Progress::State::kReplicate && !peer.fetching && news &&
                       !suspected(peer.id.node);
      if (due && log_.contains(peer.next)) send_empty(peer, false);
    }
  }
  if (now_ >= transfer_.deadline) give_up_transfer();
  for (Progress& peer : peers_) {
    if (now_ >= peer.retry_at) retry(peer);
  }
  check_quorum();
}

/// No answer for a while: asks where the other one is, without sending anything twice.
void Group::retry(Progress& peer) {
  peer.retry_at = kNever;
  // What is still being read, or waits to be, nobody can have answered.
  const bool reading = peer.fetching && peer.inflight_count == 0;
  if (reading || (!needs(peer) && !suspected(peer.id.node))) peer.waiting_since = kNever;
  if (peer.waiting_since != kNever && now_ - peer.waiting_since >= settings_->election_timeout)
    peer.silent = true;
  if (peer.state == Progress::State::kInstall) {
    if (!peer.fetching) peer.asked = false;
  } else if (!reading) {
    peer.probe_from(log_.contains(peer.next) ? peer.next : log_.last());
  }
  push(peer);
  peer.retry_at = suspected(peer.id.node) ? kNever : now_ + peer.backoff;
  peer.backoff = std::min(peer.backoff * 2, settings_->retry_max);
}

/// A leader that cannot reach a majority leads no more (thesis 6.2).
void Group::check_quorum() {
  if (role_ != Role::kLeader) return;
  const std::size_t heard =
      count_voters([&](const Progress& peer) { return !suspected(peer.id.node) && !peer.silent; });
  if (heard + (is_own_voter() ? 1 : 0) >= hard_.config.majority()) return;
  become_follower(hard_.term, ReplicaId{});
}

Refusal Group::transfer(const ReplicaId& to, Instant now, Ready& ready) {
  const Turn turn(*this, now, ready);
  if (role_ != Role::kLeader) return Refusal::kNotLeader;
  if (to == self_) return Refusal::kAlreadySo;
  if (!transfer_.to.is_none()) return Refusal::kBusy;
  const Progress* peer = progress(to);
  if (peer == nullptr || !hard_.config.is_voter(to)) return Refusal::kUnknownReplica;
  if (suspected(to.node) || peer->silent || peer->unclean) return Refusal::kNotCaughtUp;
  transfer_ = {.to = to, .deadline = now + settings_->election_timeout, .told = false};
  hand_over_if_ready();
  return Refusal::kNone;
}

/// The heir may stand yet, however late, and every voter would let it, whatever it has promised: so
/// a leader that has told it to knows no more whether it leads. It stands itself, in a new term.
void Group::give_up_transfer() {
  const bool told = transfer_.told;
  transfer_ = {};
  return told ? lost_leader() : push_all();
}

void Group::hand_over_if_ready() {
  if (role_ != Role::kLeader || transfer_.to.is_none() || transfer_.told) return;
  const Progress* peer = progress(transfer_.to);
  if (peer == nullptr) {
    transfer_ = {};
    return;
  }
  if (peer->acked != log_.last()) return;
  transfer_.told = true;
  send(message_to(transfer_.to));
}

bool Group::is_in_sync(const ReplicaId& voter, Instant now) const {
  const Progress* peer = progress(voter);
  if (peer == nullptr) return true;  // itself
  const bool here = !suspected(voter.node) && !peer->silent && !peer->unclean;
  return here && (peer->acked == log_.last() || now - peer->caught_up_at <= settings_->in_sync_lag);
}

std::vector<ReplicaId> Group::in_sync(Instant now) const {
  CHECK(role_ == Role::kLeader);
  std::vector<ReplicaId> found;
  for (const ReplicaId& voter : hard_.config.voters) {
    if (is_in_sync(voter, now)) found.push_back(voter);
  }
  return found;
}

bool Group::enough_in_sync(Instant now) const {
  CHECK(role_ == Role::kLeader);
  const auto count = static_cast<std::size_t>(std::ranges::count_if(
      hard_.config.voters, [&](const ReplicaId& voter) { return is_in_sync(voter, now); }));
  return count >= std::max<std::size_t>(hard_.config.majority(), group_settings_.min_insync);
}

}  // namespace millrace::raft
