// A damaged log is thrown away and comes again from the leader.
#include <algorithm>
#include <optional>
#include <utility>

#include "broker/raft/message_rules.h"
#include "broker/replica/hard_state_codec.h"
#include "broker/replica/replica.h"
#include "broker/replica/replica_turn.h"
#include "common/check.h"

namespace millrace::replica {

/// The state to begin again with; nullopt: this message is no reason to, or the group has nobody
/// else.
std::optional<raft::HardState> Replica::state_for_repair(const raft::Message& message) const {
  if (closed_ || group_.has_value() || !log_.damage().has_value()) return std::nullopt;
  const auto* append = std::get_if<raft::Append>(&message.body);
  if (append == nullptr || !append->commit_confirmed || !raft::is_sound(message))
    return std::nullopt;
  auto stored = decode_state(log_.state());
  if (!stored.ok()) return std::nullopt;
  raft::HardState& hard = stored->hard;
  if (message.to != host_.self || message.term < hard.term || is_alone(hard.config))
    return std::nullopt;
  return std::move(hard);
}

/// What one that leads has to say: that others had better stand. As long as they hear of no new
/// leader they take this one for theirs, and wait.
std::vector<raft::Message> Replica::farewells() const {
  std::vector<raft::Message> all;
  const raft::HardState& hard = group_->hard_state();
  for (const raft::ReplicaId& voter : hard.config.voters) {
    if (voter == host_.self) continue;
    all.push_back({.from = host_.self,
                   .to = voter,
                   .term = hard.term,
                   .config_id = hard.config.id,
                   .config = std::nullopt,
                   .body = raft::TimeoutNow{}});
  }
  return all;
}

/// What a replica says to whom something got lost on the way, although nothing has: its leader
/// answers with a question, which shows whether it has committed in its own term. Another leader
/// comes with one of its own accord.
raft::Message Replica::question() const {
  const raft::HardState& hard = group_->hard_state();
  const raft::Outline& log = group_->log();
  const raft::AppendReply::Mismatch mismatch{.prev = {hard.term, log.end() + 1},
                                             .log_start = log.start(),
                                             .log_end = log.end(),
                                             .starts = log.newest(raft::kStartsPerReply)};
  return raft::Message{.from = host_.self,
                       .to = group_->leader(),
                       .term = hard.term,
                       .config_id = hard.config.id,
                       .config = std::nullopt,
                       .body = raft::AppendReply{.acked = {},
                                                 .received = {},
                                                 .commit = Offset{0},
                                                 .start_heard = log.start(),
                                                 .incarnation = hard.incarnation,
                                                 .unclean = hard.unclean,
                                                 .mismatch = mismatch}};
}

std::vector<raft::Message> Replica::last_words() const {
  if (!log_.damage().has_value()) return {};
  if (leads()) return farewells();
  if (group_->leader().is_none()) return {};
  return {question()};
}

/// The last words name a term and a voter set, and the leader counts on that they are known here:
/// a loss of power must not take that back. Of what the group decided last, perhaps nothing is on
/// its way to the disk yet.
void Replica::ask_when_durable(const raft::HardState& hard) {
  if (last_words_.empty()) return;
  log_.put_state(encode({.hard = hard, .relaxed = relaxed_}),
                 [weak = std::weak_ptr(self_)](Result<void> done) {
                   const auto self = weak.lock();
                   if (self != nullptr && done.ok()) (*self)->ask_to_be_repaired();
                 });
}

void Replica::ask_to_be_repaired() {
  if (closed_ || group_.has_value() || last_words_.empty()) return;
  for (const raft::Message& message : last_words_) host_.peers.send(log_.key(), message, {});
  host_.ticker.wake(*this, now() + kAskAgain);
}

/// True: this replica takes part again. What it acknowledged may be gone, and the state says so
/// before the log is touched: a crash in between leaves a damaged log that is repaired again. The
/// group begins as one that lost the end of its log, and so says nothing before its higher
/// incarnation is on the disk, with all that the group that was had decided last: a loss of power
/// must not take back what others count on.
bool Replica::repair(const raft::Message& message) {
  std::optional<raft::HardState> hard = state_for_repair(message);
  if (!hard.has_value()) return false;
  // What the log still has to say to the group that was, it says to nobody.
  self_ = std::make_shared<Replica*>(this);
  join_log();
  relaxed_ = flush_ == model::FlushMode::kRelaxed;
  relaxed_durable_ = false;
  ++flush_changes_;
  group_.emplace(
      host_.self, raft::GroupSettings{}, host_.raft, host_.random,
      raft::Start{.hard = *std::move(hard), .log = {}, .commit = {}, .lost_suffix = true});
  put_state(group_->hard_state(), kNoTicket);
  log_.reset(Offset{0}, std::nullopt, {}, [](Result<void>) {});
  if (log_.damage().has_value()) {  // the store takes nothing any more
    group_.reset();
    return false;
  }

  refusal_.reset();
  last_words_ = {};
  in_the_way_since_.reset();
  ticket_told_ = 0;
  ticket_written_ = 0;
  CHECK(producers_.reset({}, Offset{0}).ok());
  ++repairs_;
  note("replica-repaired");
  on_news_({.cut = Offset{0}});
  run([&](Turn& turn) { group_->begin(now(), turn.ready); });
  for (const model::BrokerId node : std::exchange(suspects_, {})) suspect(node);
  if (group_.has_value()) apply_flush_mode();
  return group_.has_value();
}

}  // namespace millrace::replica
