#include "broker/replica/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "broker/model/mutation.h"

namespace millrace::replica {

using model::ErrorCode;

namespace {

/// For so long after a refusal a gap in a producer's sequences is taken for one that this made.
constexpr common::Duration kSettling = std::chrono::seconds(5);

/// Nothing was written.
AppendOutcome refused(common::Error error, std::vector<model::RecordError> records = {}) {
  return AppendOutcome{
      std::move(error), std::move(records), {.base_offset = Offset{-1}, .log_start = {}}};
}

/// Written, and nobody knows yet what becomes of it: it has an offset all the same.
AppendOutcome unsure(common::Error error, const Appended& where) {
  return AppendOutcome{std::move(error), {}, where};
}

/// Whether batches in front of this one, of a producer that sends the next ones before it hears of
/// the first, may have been refused here a moment ago: as this replica did not lead yet, or too few
/// were in sync. Then this one is refused likewise, and all of them come again in order. To take it
/// from a producer that is not known would leave no place for those in front; and on
/// kOutOfOrderSequenceNumber librdkafka begins a new epoch, in which it sends again what other
/// partitions have already.
bool may_have_refused_before(const Replica& replica, const model::BatchView& batch,
                             const model::ProducerVerdict& verdict, common::Duration ago) {
  if (replica.group()->config().voters.size() < 2 || ago >= kSettling) return false;
  if (verdict.action == model::ProducerVerdict::Action::kRefuse)
    return verdict.error->code == ErrorCode::kOutOfOrderSequenceNumber;
  return batch.base_sequence() > 0 &&
         replica.producers().table().find(batch.producer_id()) == nullptr;
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

Partition::Partition(storage::Log& log, const model::TopicSettings& settings, Host& host,
                     const Beginning& beginning)
    : log_(log),
      settings_(settings),
      clock_(host.clock),
      name_(fmt::format("{}-{}", log.topic_name(), log.key().index)),
      led_since_(host.clock.now()),
      refused_at_(host.clock.now()),
      self_(std::make_shared<Partition*>(this)),
      replica_(log, host, beginning, [this](const News& news) { heard(news); }) {
  CHECK(log.start_offset() <= log.end_offset());
  high_watermark_ = replica_.commit();
  replica_.begin(settings);
}

Partition::~Partition() {
  close(ErrorCode::kShuttingDown);
  self_.reset();
}

// ---- What the group brings

void Partition::heard(const News& news) {
  if (news.out) {
    leads_in_ = Term{0};
    refuse_parked(out_of_service().value_or(not_leader()));
    return fire_watchers(Fire::kAll);
  }
  if (news.cut.has_value()) {
    // Only where an unclean election lost something does this take back what was shown.
    high_watermark_ = std::min(high_watermark_, *news.cut);
    acknowledged_ = std::min(acknowledged_, *news.cut);
    refuse_parked(not_leader());
  }
  if (news.acknowledged.has_value()) acknowledged_ = std::max(acknowledged_, *news.acknowledged);
  if (news.commit.has_value()) high_watermark_ = std::max(high_watermark_, *news.commit);
  if (news.acknowledged.has_value()) answer_acknowledged();
  if (news.role.has_value()) role_changed(*news.role);
  if (news.start_known.has_value()) start_known(*news.start_known);
  if (news.commit.has_value()) fire_watchers(Fire::kAdvanced);
}

void Partition::role_changed(const raft::RoleChange& change) {
  const Term leads_in = change.role == raft::Role::kLeader ? change.term : Term{0};
  if (leads_in == leads_in_) return;
  const bool led = leads_in_ != Term{0};
  leads_in_ = leads_in;
  if (leads_in != Term{0}) {
    led_since_ = clock_.now();
    refused_at_ = led_since_;
    last_fetch_.reset();
  }
  if (!led) return;
  if (model::mutated(model::Mutation::kAckLostLeadership)) {
    for (Parked& waiting : std::exchange(parked_, {}))
      waiting.done(AppendOutcome{std::nullopt, {}, waiting.answer});
  }
  // What was appended may be cut off by the next leader, or be committed by it.
  refuse_parked(not_leader());
  fire_watchers(Fire::kAll);
}

std::optional<common::Error> Partition::out_of_service() const {
  if (closed_) return model::error(*closed_);
  return replica_.refusal();
}

common::Error Partition::not_leader() const {
  return {ErrorCode::kNotLeaderOrFollower,
          leader().is_none() ? fmt::format("No leader of {} is known here", name_)
                             : fmt::format("Broker {} leads {}", leader().node, name_)};
}

std::optional<common::Error> Partition::append_refusal(Acks acks) const {
  if (auto why = out_of_service()) return why;
  if (auto damage = log_.damage()) return damage;
  if (!replica_.accepts_appends()) return not_leader();
  if (acks == Acks::kAll && !replica_.enough_in_sync()) {
    return common::Error{
        ErrorCode::kNotEnoughReplicas,
        fmt::format("{} replicas of {} are in sync, min.insync.replicas is {}",
                    replica_.in_sync().size(), name_, settings_.min_insync_replicas)};
  }
  return std::nullopt;
}

common::Error Partition::not_sure() const {
  return {ErrorCode::kNotLeaderOrFollower,
          fmt::format("This broker leads {}, but has not heard from enough of its voters for too "
                      "long: another one may lead by now",
                      name_)};
}

std::optional<common::Error> Partition::leader_refusal() const {
  if (auto why = out_of_service()) return why;
  if (!replica_.leads()) return not_leader();
  if (!replica_.confirmed()) {
    return common::Error{
        ErrorCode::kOffsetNotAvailable,
        fmt::format("The new leader of {} does not know yet what is committed", name_)};
  }
  return reader_refusal();
}

std::optional<common::Error> Partition::reader_refusal() const {
  if (!replica_.leads() || replica_.leased()) return std::nullopt;
  return not_sure();
}

raft::Role Partition::role() const {
  return group() == nullptr ? raft::Role::kFollower : group()->role();
}

raft::ReplicaId Partition::leader() const {
  return group() == nullptr ? raft::ReplicaId{} : group()->leader();
}

Term Partition::term() const {
  return group() == nullptr ? Term{0} : group()->term();
}

// ---- Producers

void Partition::append(Bytes batch, AppendOptions options, Reply<AppendOutcome> done) {
  if (auto why = append_refusal(options.acks)) {
    refused_at_ = clock_.now();
    if (log_.damage().has_value()) replica_.step_aside();
    return done(refused(std::move(*why)));
  }
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
    model::ProducerVerdict judged = replica_.producers().check(view, name_);
    if (judged.action == model::ProducerVerdict::Action::kDuplicate) {
      return answer_duplicate(judged.original, options, std::move(done));
    }
    if (may_have_refused_before(replica_, view, judged, clock_.now() - refused_at_)) {
      return done(
          refused({ErrorCode::kNotLeaderOrFollower,
                   fmt::format("What producer {} sent to {} before this was refused a moment ago",
                               view.producer_id(), name_)}));
    }
    if (judged.action == model::ProducerVerdict::Action::kRefuse) {
      // What another leader has taken from it since is not known here.
      if (!replica_.leased()) {
        refused_at_ = clock_.now();
        return done(refused(not_sure()));
      }
      return done(refused(std::move(*judged.error)));
    }
  }
  append_accepted(std::move(verdict.accepted->bytes), options,
                  verdict.accepted->append_time.value_or(common::Timestamp{-1}), std::move(done));
}

std::optional<common::Error> Partition::refusal(std::size_t batch_bytes) const {
  if (auto why = append_refusal(Acks::kAll)) return why;
  return log_.refusal(batch_bytes);
}

void Partition::append_accepted(Bytes batch, AppendOptions options, common::Timestamp append_time,
                                Reply<AppendOutcome> done) {
  if (auto why = log_.refusal(batch.size())) {
    refused_at_ = clock_.now();
    return done(refused(std::move(*why)));
  }
  const Offset base = log_.end_offset();
  model::set_position(batch.mutable_view(), base, term());
  const auto parsed = model::BatchView::parse(batch);
  CHECK(parsed.ok() && parsed->size() == batch.size(), "{}: not one whole batch", name_);
  const model::BatchView view = *parsed;
  const Offset next = view.next_offset();
  const Appended answer{base, append_time, log_.start_offset()};
  replica_.append(batch, view);
  if (model::mutated(model::Mutation::kAckFromLeader)) options.acks = Acks::kLeader;
  if (auto why = replica_.refusal()) return done(unsure(*why, answer));
  CHECK(log_.end_offset() == next, "{}: the log ends at {}, not at {}", name_, log_.end_offset(),
        next);
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
  if (options.acks == Acks::kAll && !model::mutated(model::Mutation::kAckRepeatEarly)) {
    park(original.last_offset + 1, answer, std::move(done));
  } else {
    done(AppendOutcome{std::nullopt, {}, answer});
  }
}

void Partition::park(Offset end, Appended answer, Reply<AppendOutcome> done) {
  if (end <= acknowledged_) return done(AppendOutcome{std::nullopt, {}, answer});
  // An answer that came meanwhile may have told of the end of this leadership.
  if (!replica_.leads()) return done(unsure(not_leader(), answer));
  const auto place =
      std::upper_bound(parked_.begin(), parked_.end(), end,
                       [](Offset at, const Parked& parked) { return at < parked.end; });
  parked_.insert(place, Parked{end, answer, std::move(done)});
}

void Partition::answer_acknowledged() {
  CHECK(acknowledged_ <= log_.end_offset(), "{}: acknowledged {} behind the log's end {}", name_,
        acknowledged_, log_.end_offset());
  while (!parked_.empty() && parked_.front().end <= acknowledged_) {
    Parked parked = std::move(parked_.front());
    parked_.pop_front();
    parked.done(AppendOutcome{std::nullopt, {}, parked.answer});
  }
}

void Partition::refuse_parked(const common::Error& error) {
  start_known_ = Offset{0};
  // The next leader may not know of them; asked again it will.
  std::vector<Deletion> deletions = std::exchange(deletions_, {});
  std::deque<Parked> parked = std::exchange(parked_, {});
  // Written, perhaps not durable: the outcome is unknown, and a retry of an idempotent producer
  // will find out.
  for (Parked& waiting : parked) waiting.done(unsure(error, waiting.answer));
  for (Deletion& deletion : deletions) deletion.done(error);
}

void Partition::fire_watchers(Fire which) {
  if (watchers_.empty()) return;
  std::vector<Watcher> fired;
  for (std::size_t i = 0; i < watchers_.size();) {
    const bool news = readable_end(watchers_[i].isolation) > watchers_[i].beyond;
    if (which == Fire::kAll || news) {
      fired.push_back(std::move(watchers_[i]));
      if (i + 1 < watchers_.size()) watchers_[i] = std::move(watchers_.back());
      watchers_.pop_back();
    } else {
      ++i;
    }
  }
  for (Watcher& watcher : fired) watcher.advanced();
}

// ---- Readers

Bounds Partition::bounds() const {
  const Offset start = log_.start_offset();
  // A log that began anew begins at what is committed, which is told a little later.
  const Offset end = std::max(start, high_watermark_);
  if (model::mutated(model::Mutation::kReadUncommitted))
    return Bounds{start, log_.end_offset(), log_.end_offset(), log_.end_offset(), term()};
  return Bounds{start, end, end, log_.end_offset(), term()};
}

Offset Partition::readable_end(Isolation) const {
  // Without transactions everything committed is stable: both isolations see the same.
  return bounds().high_watermark;
}

void Partition::read(Offset from, Isolation isolation, std::size_t bytes_max,
                     bool at_least_one_batch, Reply<Result<storage::ReadResult>> done) {
  if (closed_) return done(model::error(*closed_));
  if (replica_.leads() && !replica_.confirmed()) {
    return done(common::Error{
        ErrorCode::kNotLeaderOrFollower,
        fmt::format("The new leader of {} does not know yet what is committed", name_)});
  }
  // Who asks for more has heard of it elsewhere, and had better go on there: what this one would
  // say of the high watermark is old.
  if (from > readable_end(isolation) && !replica_.leads()) {
    return done(common::Error{
        ErrorCode::kOffsetNotAvailable,
        fmt::format("Offset {} of {} is not here yet: what is known to be committed ends at {}",
                    from, name_, readable_end(isolation))});
  }
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
  if (epoch.value() < 0 || epoch == term()) return common::ok();
  if (epoch < term()) {
    return common::Error{
        ErrorCode::kFencedLeaderEpoch,
        fmt::format("Leader epoch {} of {} is old; it is {} now", epoch, name_, term())};
  }
  return common::Error{
      ErrorCode::kUnknownLeaderEpoch,
      fmt::format("Leader epoch {} of {} is not known here; it is {}", epoch, name_, term())};
}

storage::TermStart Partition::end_of_epoch(Term epoch) const {
  const auto& starts = log_.term_starts();
  // A replica that lags may not have heard of it; a leader knows its own.
  if (epoch.value() < 0 || starts.empty() || epoch > starts.back().term)
    return {Term{-1}, Offset{-1}};
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
  if (auto why = leader_refusal()) return done(std::move(*why));
  log_.find_time(target, readable_end(isolation), std::move(done));
}

void Partition::find_max_time(Reply<Result<std::optional<storage::TimedOffset>>> done) {
  if (auto why = leader_refusal()) return done(std::move(*why));
  log_.find_max_time(high_watermark_, std::move(done));
}

void Partition::delete_records(Offset offset, Reply<Result<Offset>> done) {
  if (auto why = leader_refusal()) return done(std::move(*why));
  if (!settings_.delete_old) {
    return done(
        common::Error{ErrorCode::kPolicyViolation,
                      fmt::format("Topic {} is not deletable: its cleanup.policy has no \"delete\"",
                                  log_.topic_name())});
  }
  const Offset end = bounds().high_watermark;
  const Offset target = offset.value() == -1 ? end : offset;
  if (target.value() < 0 || target > end) {
    return done(
        common::Error{ErrorCode::kOffsetOutOfRange,
                      fmt::format("Cannot delete records of {} up to {}: the high watermark is {}",
                                  name_, target, end)});
  }
  log_.delete_before(target, [weak = std::weak_ptr(self_), target,
                              done = std::move(done)](Result<void> deleted) mutable {
    const auto self = weak.lock();
    if (!deleted.ok()) return done(deleted.error());
    if (self == nullptr) return done(model::error(ErrorCode::kUnknownTopicOrPartition));
    (*self)->await_majority(target, std::move(done));
  });
  replica_.trimmed();
}

void Partition::await_majority(Offset start, Reply<Result<Offset>> done) {
  if (start_known_ >= start) return done(log_.start_offset());
  if (auto why = out_of_service()) return done(std::move(*why));
  if (leads_in_ == Term{0}) return done(not_leader());
  deletions_.push_back({start, std::move(done)});
}

void Partition::start_known(Offset start) {
  start_known_ = start;
  std::vector<Deletion> known;
  for (Deletion& deletion : std::exchange(deletions_, {}))
    (deletion.start <= start ? known : deletions_).push_back(std::move(deletion));
  for (Deletion& deletion : known) deletion.done(log_.start_offset());
}

void Partition::trim(Offset offset, Reply<Result<void>> done) {
  if (auto why = leader_refusal()) return done(std::move(*why));
  CHECK(offset >= log_.start_offset() && offset <= high_watermark_, "{}: trimmed to {} of [{}, {}]",
        name_, offset, log_.start_offset(), high_watermark_);
  log_.delete_before(offset, std::move(done));
  replica_.trimmed();
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
  replica_.set_settings(settings);
}

std::vector<model::ProducerEntry> Partition::producers() const {
  return replica_.producers().table().entries();
}

void Partition::close(ErrorCode reason) {
  if (closed_) return;
  closed_ = reason;
  replica_.close();
  refuse_parked(model::error(reason));
  fire_watchers(Fire::kAll);
}

}  // namespace millrace::replica
