// Carrying out what a group wants done: raft::Ready in its order, on the log and towards the peers.
#include <algorithm>
#include <utility>

#include "broker/model/mutation.h"
#include "broker/raft/message_rules.h"
#include "broker/replica/append_data.h"
#include "broker/replica/hard_state_codec.h"
#include "broker/replica/lag.h"
#include "broker/replica/replica.h"
#include "broker/replica/replica_turn.h"
#include "common/check.h"

namespace millrace::replica {
namespace {

// No log gets there.
constexpr Offset kOffsetMax{std::int64_t{1} << 60};

/// The snapshot of an Install.
common::ByteView snapshot_of(const std::vector<Bytes>& data) {
  return data.empty() ? common::ByteView() : data.front().view();
}

std::size_t bytes_of(const std::vector<Bytes>& pieces) {
  std::size_t bytes = 0;
  for (const Bytes& piece : pieces) bytes += piece.size();
  return bytes;
}

}  // namespace

// ---- Messages

void Replica::step(const raft::Message& message, const std::vector<Bytes>& data, Instant now) {
  if (!fit() && !repair(message)) return;
  CHECK(!carrying_out_, "{}: a message comes while effects are carried out", name_);
  if (!is_sound(message, data)) {
    ++refused_data_;
    return;
  }
  // It comes again when its leader asks the next time, without data, where this log is.
  if (!log_takes(message, data)) return;
  run([&](Turn& turn) {
    turn.input = &data;
    group_->step(message, now, turn.ready);
  });
  if (!group_.has_value()) return;
  CHECK(log_.end_offset() == group_->log_end(), "{}: the log ends at {}, the group's at {}", name_,
        log_.end_offset(), group_->log_end());
}

/// Whether what came along is what the message says. Only looked at where it would be written; what
/// is wrong with the message itself is for the group to see.
bool Replica::is_sound(const raft::Message& message, const std::vector<Bytes>& data) {
  if (!raft::is_sound(message) || message.term < group_->term()) return true;
  if (const auto* install = std::get_if<raft::Install>(&message.body)) {
    if (data.size() > 1 || install->at.offset > kOffsetMax) return false;
    model::ProducerTable table;
    if (!snapshot_of(data).empty() && !table.restore(snapshot_of(data)).ok()) return false;
    return !table.reaches(install->at.offset);
  }
  const auto* append = std::get_if<raft::Append>(&message.body);
  if (append == nullptr || !group_->log().contains(append->prev)) return true;
  const raft::Position agreed = group_->log().agreement(append->prev, append->term, append->to);
  const auto fault = fault_of(*append, data, {agreed.offset, group_->log_start()});
  if (fault.has_value() && refused_data_ == 0) note("data-refused", *fault);
  return !fault.has_value();
}

/// Whether there is room for what came along.
bool Replica::log_takes(const raft::Message& message, const std::vector<Bytes>& data) const {
  if (data.empty() || log_.damage().has_value()) return true;
  const bool install = std::holds_alternative<raft::Install>(message.body);
  return !log_.refusal(install ? data.front().size() : largest_batch(data)).has_value();
}

// ---- Effects

void Replica::carry_out(Turn& turn) {
  if (!group_.has_value()) return;
  raft::Ready& ready = turn.ready;
  cut_to_.reset();
  if (ready.hard_state.has_value()) put_state(*ready.hard_state, ready.ticket);
  for (const raft::LogWrite& what : ready.writes) {
    write(what, turn);
    if (!group_.has_value()) return;
  }
  if (!closed_) {
    send(turn);
    if (!ready.fetches.empty()) host_.ticker.call_soon(*this);
    fetches_.insert(fetches_.end(), ready.fetches.begin(), ready.fetches.end());
  }
  tell(ready);
  if (!group_.has_value()) return;
  if (ready.trim_to.has_value()) trim_to(*ready.trim_to);
  for (const raft::Notice what : ready.notices) notice(what);
}

/// Lets a replica that has nobody to wait for go on at once (see the class). Not for what came with
/// a message: somebody spoke to it then.
void Replica::settle_alone(Turn& turn) {
  while (turn.ready.hard_state.has_value() && !others_known_ && is_alone(group_->config()) &&
         turn.ready.ticket == ticket_told_ + 1) {
    ticket_told_ = turn.ready.ticket;
    group_->persisted(ticket_told_, now(), turn.ready);
  }
}

void Replica::put_state(const raft::HardState& state, std::uint32_t ticket) {
  if (ticket != kNoTicket) ticket_written_ = ticket;
  if (!is_alone(state.config)) others_known_ = true;
  log_.put_state(encode({.hard = state, .relaxed = relaxed_}),
                 [weak = std::weak_ptr(self_), ticket, change = flush_changes_](Result<void> done) {
                   const auto self = weak.lock();
                   if (self != nullptr && done.ok()) (*self)->state_durable(ticket, change);
                 });
}

void Replica::state_durable(std::uint32_t ticket, std::uint32_t flush_change) {
  if (!group_.has_value() || closed_) return;
  if (relaxed_ && !relaxed_durable_ && flush_change == flush_changes_) {
    relaxed_durable_ = true;
    apply_settings();
  }
  if (ticket == kNoTicket) return;
  if (ticket == ticket_written_) others_known_ = !is_alone(group_->config());
  if (ticket <= ticket_told_) return;
  ticket_told_ = ticket;
  run([&](Turn& turn) { group_->persisted(ticket, now(), turn.ready); });
}

Reply<Result<void>> Replica::durable_reply(const raft::LogMark& mark) {
  return [weak = std::weak_ptr(self_), mark](Result<void> durable) {
    const auto self = weak.lock();
    if (self == nullptr || (*self)->group_ == std::nullopt) return;
    Replica& replica = **self;
    if (durable.ok()) {
      replica.run([&](Turn& turn) { replica.group_->durable(mark, replica.now(), turn.ready); });
    } else if (!replica.closed_) {
      replica.fail(durable.error());
    }
  };
}

void Replica::write(const raft::LogWrite& what, const Turn& turn) {
  using Kind = raft::LogWrite::Kind;
  switch (what.kind) {
    case Kind::kTruncate:
      return cut_log(what.to, durable_reply(what.mark));
    case Kind::kTermStart:
      return log_.start_term({what.start.term, what.start.offset}, durable_reply(what.mark));
    case Kind::kAppend:
      CHECK(turn.input != nullptr, "{}: data to write, and none came", name_);
      return append_data(what, *turn.input);
    case Kind::kReset: {
      CHECK(turn.input != nullptr, "{}: a log to begin, and nothing came", name_);
      CHECK(producers_.reset(snapshot_of(*turn.input), what.to).ok());
      cut_to_ = what.to;
      std::optional<storage::TermStart> first;
      if (what.start != raft::TermStart{}) first = {what.start.term, what.start.offset};
      const Bytes snapshot = turn.input->empty() ? Bytes() : turn.input->front();
      return log_.reset(what.to, first, snapshot, durable_reply(what.mark));
    }
  }
}

void Replica::append_data(const raft::LogWrite& what, const std::vector<Bytes>& data) {
  const common::Timestamp wall = host_.clock.wall();
  std::vector<Bytes> pieces = pieces_of(data, {what.from, what.to}, what.start.term);
  CHECK(!pieces.empty());
  const Offset first = model::BatchView::parse(pieces.front().view()).value().base_offset();
  if (first < what.from) begin_inside(first);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    for (common::ByteView rest = pieces[i].view(); !rest.empty();) {
      const model::BatchView batch = model::BatchView::parse(rest).value();
      producers_.append(batch, wall);
      rest = rest.subspan(batch.size());
    }
    // They become durable in order: the last one answers for all.
    if (i + 1 < pieces.size()) {
      log_.append(std::move(pieces[i]), [](Result<void>) {});
    } else {
      log_.append(std::move(pieces[i]), durable_reply(what.mark));
    }
  }
  if (first < what.from) trim_to(what.from);
}

/// The empty log begins inside a batch of which the front was trimmed away on all replicas: it
/// takes the whole batch, and then begins where it did.
void Replica::begin_inside(Offset base) {
  const Offset start = log_.start_offset();
  CHECK(start == log_.end_offset() && base < start, "{}: a batch at {} in a log [{}, {})", name_,
        base, start, log_.end_offset());
  log_.reset(base, start_in_front(start), producers_.before(start), [](Result<void>) {});
}

/// Of the term that wrote the last record in front of `offset`, where the log begins.
std::optional<storage::TermStart> Replica::start_in_front(Offset offset) const {
  const auto& starts = log_.term_starts();
  if (starts.empty() || starts.front().offset >= offset) return std::nullopt;
  return starts.front();
}

/// Where an unclean election lost something committed that was compacted here, the log takes the
/// cut for damage: all of it comes again.
void Replica::cut_log(Offset to, Reply<Result<void>> durable) {
  if (!model::mutated(model::Mutation::kKeepProducersOnCut)) producers_.cut(to);
  cut_to_ = std::min(cut_to_.value_or(to), to);
  if (to > log_.start_offset()) return log_.truncate(to, std::move(durable));
  // That may lie inside a batch, which goes too and comes again as a whole.
  Bytes kept = producers_.before(to);
  CHECK(producers_.reset(kept, to).ok());
  log_.reset(to, start_in_front(to), std::move(kept), std::move(durable));
}

void Replica::send(Turn& turn) {
  std::vector<raft::Message>& messages = turn.ready.messages;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const bool last = i + 1 == messages.size();
    host_.peers.send(log_.key(), std::move(messages[i]),
                     last ? std::move(turn.data) : std::vector<Bytes>{});
  }
}

void Replica::trim_to(Offset start) {
  log_.delete_before(start, [](Result<void>) {});
  note_trim();
}

/// Retention moves the log's start without asking, within what on_retention() answers.
void Replica::note_trim() {
  if (log_.start_offset() > group_->log_start()) group_->trimmed(log_.start_offset(), now());
}

void Replica::notice(raft::Notice what) {
  switch (what) {
    case raft::Notice::kUncleanElection:
      return note("unclean-election");
    case raft::Notice::kReadmitted:
      return note("replica-readmitted");
    case raft::Notice::kLostCommitted:
      return note("committed-records-lost");
    case raft::Notice::kConfigChanged:
      return apply_settings();
  }
}

void Replica::tell(const raft::Ready& ready) {
  if (ready.commit.has_value()) producers_.commit(*ready.commit);
  if (ready.role.has_value()) host_.peers.leadership(log_.key(), *ready.role);
  const bool news = cut_to_.has_value() || ready.commit.has_value() ||
                    ready.acknowledged.has_value() || ready.role.has_value() ||
                    ready.start_known.has_value();
  if (!news) return;
  on_news_({.cut = cut_to_,
            .commit = ready.commit,
            .acknowledged = ready.acknowledged,
            .role = ready.role,
            .start_known = ready.start_known});
}

// ---- Reading for others

void Replica::fetch(raft::Fetch fetch) {
  if (!group_->renew(fetch)) return;
  if (fetch.install) return install(fetch);
  if (CatchUp* const queue = queue_for(fetch)) return read_in_turn(*queue, fetch);
  read_for(fetch, [](std::uint64_t) {});
}

/// Where to wait; nullptr: nowhere. Those who are level never wait for those who are not. A new
/// replica that is close to the end gets there under any limit.
CatchUp* Replica::queue_for(const raft::Fetch& fetch) const {
  if (group_->config().is_voter(fetch.to))
    return log_.in_memory(fetch.from) ? nullptr : host_.catch_up;
  const bool close = close_to_end(log_, group_->log_end() - fetch.from, host_.raft);
  return close && log_.in_memory(fetch.from) ? nullptr : host_.moves;
}

void Replica::read_in_turn(CatchUp& in, const raft::Fetch& wanted) {
  in.enter([queue = &in, weak = std::weak_ptr(self_), fetch = wanted]() mutable {
    const auto self = weak.lock();
    if (self == nullptr || !(*self)->fit() || !(*self)->group_->renew(fetch))
      return queue->leave(0);
    Replica& replica = **self;
    if (!replica.host_.peers.has_room(replica.log_.key(), fetch.to)) {
      // It would get lost on the way. The group asks again after a while.
      replica.answer_fetch(fetch, fetch.from, {});
      return queue->leave(0);
    }
    replica.read_for(fetch, [left = queue->weak()](std::uint64_t bytes) {
      if (const auto still_there = left.lock()) (*still_there)->leave(bytes);
    });
  });
}

template <typename Done>
void Replica::read_for(const raft::Fetch& fetch, Done done) {
  log_.read(fetch.from,
            {.up_to = fetch.up_to, .bytes_max = fetch.bytes_max, .at_least_one_batch = true},
            [weak = std::weak_ptr(self_), fetch, done](Result<storage::ReadResult> read) {
              const std::size_t bytes = read.ok() ? bytes_of(read->pieces) : 0;
              if (const auto self = weak.lock()) (*self)->fetched(fetch, std::move(read));
              done(bytes);
            });
}

void Replica::fetched(const raft::Fetch& fetch, Result<storage::ReadResult> read) {
  if (!fit()) return;
  if (!read.ok()) return answer_fetch(fetch, fetch.from, {});
  if (read->pieces.empty()) return look_behind_hole(fetch);
  answer_fetch(fetch, read->next_offset, std::move(read->pieces));
}

/// Nothing lies in what was to be read. Where compaction took it away there is something behind it:
/// then that nothing is there is the answer.
void Replica::look_behind_hole(const raft::Fetch& fetch) {
  log_.read(fetch.from, {.up_to = log_.end_offset(), .bytes_max = 0, .at_least_one_batch = true},
            [weak = std::weak_ptr(self_), fetch](Result<storage::ReadResult> read) {
              const auto self = weak.lock();
              if (self == nullptr || !(*self)->fit()) return;
              Offset to = fetch.from;
              if (read.ok() && !read->pieces.empty()) {
                const auto next = model::BatchView::parse(read->pieces.front());
                if (next.ok() && next->base_offset() >= fetch.up_to) to = fetch.up_to;
              }
              (*self)->answer_fetch(fetch, to, {});
            });
}

void Replica::answer_fetch(const raft::Fetch& fetch, Offset to, std::vector<Bytes> pieces) {
  run([&](Turn& turn) {
    const auto size = static_cast<std::uint32_t>(bytes_of(pieces));
    if (group_->fetched(fetch, to, size, now(), turn.ready)) turn.data = std::move(pieces);
  });
}

void Replica::install(const raft::Fetch& fetch) {
  run([&](Turn& turn) {
    const Offset start = group_->log_start();
    if (!group_->install_ready(fetch, start, now(), turn.ready)) return;
    if (model::mutated(model::Mutation::kInstallWithoutProducers)) return;
    if (Bytes snapshot = producers_.before(start); !snapshot.empty())
      turn.data.push_back(std::move(snapshot));
  });
}

}  // namespace millrace::replica
