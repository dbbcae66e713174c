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

/// True: this replica takes part again. What it acknowledged may be gone, and the state says so
/// before the log is touched: a crash in between leaves a damaged log that is repaired again.
bool Replica::repair(const raft::Message& message) {
  std::optional<raft::HardState> hard = state_for_repair(message);
  if (!hard.has_value()) return false;
  hard->unclean = true;
  ++hard->incarnation;
  // What the log still has to say to the group that was, it says to nobody.
  self_ = std::make_shared<Replica*>(this);
  join_log();
  relaxed_ = flush_ == model::FlushMode::kRelaxed;
  relaxed_durable_ = false;
  ++flush_changes_;
  put_state(*hard, kNoTicket);
  log_.reset(Offset{0}, std::nullopt, {}, [](Result<void>) {});
  if (log_.damage().has_value()) return false;  // the store takes nothing any more

  refusal_.reset();
  ticket_told_ = 0;
  ticket_written_ = 0;
  CHECK(producers_.reset({}, Offset{0}).ok());
  group_.emplace(host_.self, raft::GroupSettings{}, host_.raft, host_.random,
                 raft::Start{.hard = *std::move(hard), .log = {}, .commit = {}});
  ++repairs_;
  note("replica-repaired");
  on_news_({.cut = Offset{0}});
  run([&](Turn& turn) { group_->begin(now(), turn.ready); });
  for (const model::BrokerId node : std::exchange(suspects_, {})) suspect(node);
  if (group_.has_value()) apply_flush_mode();
  return group_.has_value();
}

}  // namespace millrace::replica
