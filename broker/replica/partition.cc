#include "broker/replica/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::replica {

using model::ErrorCode;

namespace {

AppendOutcome refused(common::Error error, std::vector<model::RecordError> records = {}) {
  return AppendOutcome{std::move(error), std::move(records), {}};
}

}  // namespace

storage::LogSettings log_settings(const model::TopicSettings& settings) {
  return {.segment_bytes = static_cast<std::uint64_t>(settings.segment_bytes),
          .segment_ms = settings.segment_ms,
          .retention_bytes = settings.retention_bytes,
          .retention_ms = settings.retention_ms,
          .file_delete_delay_ms = settings.file_delete_delay_ms,
          .delete_old = settings.delete_old,
          .compact = settings.compact,
          .delete_retention_ms = settings.delete_retention_ms,
          .min_compaction_lag_ms = settings.min_compaction_lag_ms,
          .max_compaction_lag_ms = settings.max_compaction_lag_ms,
          .min_cleanable_dirty_ratio = settings.min_cleanable_dirty_ratio};
}

Partition::Partition(storage::Log& log, const model::TopicSettings& settings,
                     const common::Clock& clock)
    : log_(log),
      settings_(settings),
      clock_(clock),
      high_watermark_(log.end_offset()),
      led_since_(clock.now()),
      name_(fmt::format("{}-{}", log.topic_name(), log.key().index)),
      self_(std::make_shared<Partition*>(this)) {
  CHECK(log.start_offset() <= log.end_offset());
  restore_producers();
  // A new incarnation leads in a new term, so that a client can tell what the old one may not have
  // kept.
  term_ = log.term_starts().empty() ? Term{0} : log.term_starts().back().term + 1;
  log.start_term({term_, log.end_offset()}, [](Result<void>) {});
  log.on_checkpoint([weak = std::weak_ptr(self_)]() -> Bytes {
    const auto self = weak.lock();
    return self == nullptr ? Bytes() : (*self)->producer_snapshot();
  });
  log.on_compaction([weak = std::weak_ptr(self_)]() -> storage::CompactionLimits {
    const auto self = weak.lock();
    return self == nullptr ? storage::CompactionLimits() : (*self)->compaction_limits();
  });
}

storage::CompactionLimits Partition::compaction_limits() const {
  // A committed record is never taken back, and what is stable is of no open transaction.
  storage::CompactionLimits limits{.up_to = readable_end(Isolation::kReadCommitted)};
  for (const model::ProducerEntry& producer : producers_.entries()) {
    if (const model::ProducedBatch* newest = producer.newest())
      limits.last_batches.push_back(newest->last_offset);
  }
  std::ranges::sort(limits.last_batches);
  return limits;
}

Partition::~Partition() {
  close(ErrorCode::kShuttingDown);
  self_.reset();
}

void Partition::restore_producers() {
  storage::Log::RecoveredProducers recovered = log_.take_recovered_producers();
  if (!recovered.snapshot.empty() && !producers_.restore(recovered.snapshot).ok()) {
    // The checkpoint's own checksum held, so this is a version we cannot read: what follows it
    // rebuilds the rest.
    producers_.clear();
  }
  for (const Bytes& piece : recovered.batches_behind) {
    common::ByteView rest = piece.view();
    while (!rest.empty()) {
      const auto batch = model::BatchView::parse(rest);
      CHECK(batch.ok(), "{}: recovery handed over a batch that it had checked: {}", name_,
            batch.error().detail);
      // Not the records' own time, which producers choose: one that writes old events would look
      // long idle.
      producers_.apply(*batch, clock_.wall());
      rest = rest.subspan(batch->size());
    }
  }
}

Bytes Partition::producer_snapshot() {
  // Checkpoints come as often as there is much to remember: the right time to forget.
  producers_.expire(clock_.wall(), producer_expiration_ms_);
  return producers_.size() == 0 ? Bytes() : producers_.serialise();
}

void Partition::append(Bytes batch, AppendOptions options, Reply<AppendOutcome> done) {
  if (closed_) return done(refused(model::error(*closed_)));
  if (const auto damage = log_.damage()) return done(refused(*damage));
  if (options.origin == Origin::kBroker) {
    return append_accepted(std::move(batch), options, common::Timestamp{-1}, std::move(done));
  }
  model::BatchVerdict verdict = model::accept_batch(
      std::move(batch), {.settings = settings_, .partition = name_, .now = clock_.wall()});
  if (verdict.refused) {
    return done(refused(std::move(verdict.refused->error), std::move(verdict.refused->records)));
  }
  CHECK(verdict.accepted.has_value());
  const model::BatchView view = verdict.accepted->view();
  if (view.transactional()) {
    return done(
        refused({ErrorCode::kInvalidTxnState,
                 "This broker does not serve transactions yet; produce without transactional.id"}));
  }
  if (view.producer_id() != model::kNoProducerId) {
    model::ProducerVerdict judged = producers_.check(view, name_);
    if (judged.action == model::ProducerVerdict::Action::kDuplicate) {
      return answer_duplicate(judged.original, options, std::move(done));
    }
    if (judged.action == model::ProducerVerdict::Action::kRefuse) {
      return done(refused(std::move(*judged.error)));
    }
  }
  append_accepted(std::move(verdict.accepted->bytes), options,
                  verdict.accepted->append_time.value_or(common::Timestamp{-1}), std::move(done));
}

std::optional<common::Error> Partition::refusal(std::size_t batch_bytes) const {
  if (closed_) return model::error(*closed_);
  if (auto damage = log_.damage()) return damage;
  return log_.refusal(batch_bytes);
}

void Partition::append_accepted(Bytes batch, AppendOptions options, common::Timestamp append_time,
                                Reply<AppendOutcome> done) {
  const Offset base = log_.end_offset();
  model::set_position(batch.mutable_view(), base, term_);
  const auto parsed = model::BatchView::parse(batch);
  CHECK(parsed.ok() && parsed->size() == batch.size(), "{}: not one whole batch", name_);
  const model::BatchView view = *parsed;
  const Offset next = view.next_offset();
  const Appended answer{base, append_time, log_.start_offset()};

  // The log refuses (no space) before it changes anything, so its end tells whether the append took
  // place. Its answer comes inline then, which is why the outcome is kept apart from the reply.
  refusal_.reset();
  log_.append(batch, [weak = std::weak_ptr(self_), next](Result<void> durable) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    if (!durable.ok()) {
      (*self)->refusal_ = durable.error();
      return;
    }
    (*self)->set_high_watermark(next);
  });
  if (log_.end_offset() == base) {
    CHECK(refusal_.has_value(), "{}: an append neither took place nor was refused", name_);
    return done(refused(*std::exchange(refusal_, std::nullopt)));
  }
  CHECK(log_.end_offset() == next, "{}: the log ends at {}, not at {}", name_, log_.end_offset(),
        next);
  if (view.producer_id() != model::kNoProducerId) producers_.apply(view, clock_.wall());
  if (relaxed()) set_high_watermark(next);
  if (options.acks == Acks::kAll) {
    park(next, answer, std::move(done));
  } else {
    done(AppendOutcome{std::nullopt, {}, answer});
  }
}

void Partition::answer_duplicate(const model::ProducedBatch& original, AppendOptions options,
                                 Reply<AppendOutcome> done) {
  // A batch that the topic stamped holds its append time as its maximum, which the table keeps.
  const bool stamped = settings_.timestamp_type == model::TimestampType::kLogAppendTime;
  const Appended answer{original.base_offset, stamped ? original.timestamp : common::Timestamp{-1},
                        log_.start_offset()};
  // The first try may still be on its way to the disk: an acks=all answer waits for it (KIP-98).
  if (options.acks == Acks::kAll) {
    park(original.last_offset + 1, answer, std::move(done));
  } else {
    done(AppendOutcome{std::nullopt, {}, answer});
  }
}

void Partition::park(Offset committed_at, Appended answer, Reply<AppendOutcome> done) {
  if (committed_at <= high_watermark_) return done(AppendOutcome{std::nullopt, {}, answer});
  const auto place =
      std::upper_bound(parked_.begin(), parked_.end(), committed_at,
                       [](Offset at, const Parked& parked) { return at < parked.committed_at; });
  parked_.insert(place, Parked{committed_at, answer, std::move(done)});
}

void Partition::set_high_watermark(Offset offset) {
  if (offset <= high_watermark_) return;
  CHECK(offset <= log_.end_offset(), "{}: high watermark {} behind the log's end {}", name_, offset,
        log_.end_offset());
  high_watermark_ = offset;
  while (!parked_.empty() && parked_.front().committed_at <= high_watermark_) {
    Parked parked = std::move(parked_.front());
    parked_.pop_front();
    parked.done(AppendOutcome{std::nullopt, {}, parked.answer});
  }
  fire_watchers();
}

void Partition::fire_watchers() {
  if (watchers_.empty()) return;
  std::vector<Watcher> fired;
  for (std::size_t i = 0; i < watchers_.size();) {
    if (closed_ || readable_end(watchers_[i].isolation) > watchers_[i].beyond) {
      fired.push_back(std::move(watchers_[i]));
      if (i + 1 < watchers_.size()) watchers_[i] = std::move(watchers_.back());
      watchers_.pop_back();
    } else {
      ++i;
    }
  }
  for (Watcher& watcher : fired) watcher.advanced();
}

Bounds Partition::bounds() const {
  return Bounds{log_.start_offset(), high_watermark_, high_watermark_, log_.end_offset(), term_};
}

Offset Partition::readable_end(Isolation) const {
  // Without transactions everything committed is stable: both isolations see the same.
  return high_watermark_;
}

void Partition::read(Offset from, Isolation isolation, std::size_t bytes_max,
                     bool at_least_one_batch, Reply<Result<storage::ReadResult>> done) {
  if (closed_) return done(model::error(*closed_));
  // Between the high watermark and the end there is nothing to see yet, but a producer with acks=1
  // may know the offset.
  if (from < log_.start_offset() || from > log_.end_offset()) {
    return done(common::Error{ErrorCode::kOffsetOutOfRange,
                              fmt::format("Offset {} of {} is outside [{}, {}]", from, name_,
                                          log_.start_offset(), log_.end_offset())});
  }
  if (from >= readable_end(isolation)) return done(storage::ReadResult{{}, from});
  log_.read(from, {readable_end(isolation), bytes_max, at_least_one_batch}, std::move(done));
}

Result<void> Partition::check_leader_epoch(Term epoch) const {
  if (epoch.value() < 0 || epoch == term_) return common::ok();
  if (epoch < term_) {
    return common::Error{
        ErrorCode::kFencedLeaderEpoch,
        fmt::format("Leader epoch {} of {} is old; it is {} now", epoch, name_, term_)};
  }
  return common::Error{
      ErrorCode::kUnknownLeaderEpoch,
      fmt::format("Leader epoch {} of {} is not known here; it is {}", epoch, name_, term_)};
}

storage::TermStart Partition::end_of_epoch(Term epoch) const {
  const auto& starts = log_.term_starts();
  if (epoch == term_) return {term_, log_.end_offset()};
  if (epoch.value() < 0 || epoch > term_) return {Term{-1}, Offset{-1}};
  const auto later =
      std::upper_bound(starts.begin(), starts.end(), epoch,
                       [](Term e, const storage::TermStart& start) { return e < start.term; });
  const Offset end = later == starts.end() ? log_.end_offset() : later->offset;
  // Before the first known term: everything the asker has of it is older than this log.
  if (later == starts.begin()) return {epoch, end};
  return {std::prev(later)->term, end};
}

void Partition::find_time(common::Timestamp target, Isolation isolation,
                          Reply<Result<std::optional<storage::TimedOffset>>> done) {
  if (closed_) return done(model::error(*closed_));
  log_.find_time(target, readable_end(isolation), std::move(done));
}

void Partition::find_max_time(Reply<Result<std::optional<storage::TimedOffset>>> done) {
  if (closed_) return done(model::error(*closed_));
  log_.find_max_time(high_watermark_, std::move(done));
}

void Partition::delete_records(Offset offset, Reply<Result<Offset>> done) {
  if (closed_) return done(model::error(*closed_));
  if (!settings_.delete_old) {
    return done(
        common::Error{ErrorCode::kPolicyViolation,
                      fmt::format("Topic {} is not deletable: its cleanup.policy has no \"delete\"",
                                  log_.topic_name())});
  }
  const Offset target = offset.value() == -1 ? high_watermark_ : offset;
  if (target.value() < 0 || target > high_watermark_) {
    return done(
        common::Error{ErrorCode::kOffsetOutOfRange,
                      fmt::format("Cannot delete records of {} up to {}: the high watermark is {}",
                                  name_, target, high_watermark_)});
  }
  log_.delete_before(
      target, [weak = std::weak_ptr(self_), done = std::move(done)](Result<void> deleted) mutable {
        const auto self = weak.lock();
        if (!deleted.ok()) return done(deleted.error());
        if (self == nullptr) return done(model::error(ErrorCode::kUnknownTopicOrPartition));
        done((*self)->log_.start_offset());
      });
}

void Partition::trim(Offset offset, Reply<Result<void>> done) {
  if (closed_) return done(model::error(*closed_));
  CHECK(offset >= log_.start_offset() && offset <= high_watermark_, "{}: trimmed to {} of [{}, {}]",
        name_, offset, log_.start_offset(), high_watermark_);
  log_.delete_before(offset, std::move(done));
}

WatchId Partition::watch(Offset beyond, Isolation isolation, common::Function<void()> advanced) {
  const WatchId id{next_watch_++};
  watchers_.push_back(Watcher{id, beyond, isolation, std::move(advanced)});
  return id;
}

void Partition::unwatch(WatchId id) {
  std::erase_if(watchers_, [&](const Watcher& watcher) { return watcher.id == id; });
}

void Partition::set_settings(const model::TopicSettings& settings) {
  settings_ = settings;
  log_.set_settings(log_settings(settings));
}

std::vector<model::ProducerEntry> Partition::producers() const {
  return producers_.entries();
}

void Partition::close(ErrorCode reason) {
  if (closed_) return;
  closed_ = reason;
  std::deque<Parked> parked = std::exchange(parked_, {});
  // Written, perhaps not durable: the outcome is unknown, and a retry of an idempotent producer
  // will find out.
  for (Parked& waiting : parked) waiting.done(refused(model::error(reason)));
  fire_watchers();
}

}  // namespace millrace::replica
