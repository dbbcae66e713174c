#include "broker/service/group_coordinator.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/model/mutation.h"
#include "broker/service/group_coordinators.h"
#include "common/check.h"

namespace millrace::service {

using common::Error;
using common::Result;
using coordinator::Record;
using coordinator::Status;
using model::ErrorCode;
using model::Offset;

namespace {

/// One piece of a load: a few milliseconds of work, then others get their turn.
constexpr std::size_t kLoadBytes = 256 << 10;
/// Records wait for each other up to about so many bytes.
constexpr std::size_t kBatchBytesMax = 1 << 20;
constexpr std::size_t kRewriteBatchBytes = 512 << 10;
/// What framing adds to a record at most: lengths, deltas, attributes.
constexpr std::size_t kRecordFrameBytes = 32;
/// A log shorter than this is never worth rewriting: 50 of them are read back in a fraction of a
/// second. A longer one is, when its state is at most a quarter of it.
constexpr std::uint64_t kRewriteBytesMin = 1 << 20;
constexpr std::uint64_t kRewriteFactor = 3;
constexpr auto kTickMin = std::chrono::milliseconds(1);
constexpr common::Duration kLoadAgainMax = std::chrono::seconds(30);

model::NewRecord as_new(const coordinator::EncodedRecords& records, std::size_t i,
                        common::Timestamp now) {
  return {.timestamp = now, .key = records.key(i), .value = records.value(i), .headers = {}};
}

}  // namespace

GroupCoordinator::GroupCoordinator(GroupCoordinators& shared, replica::Partition& partition)
    : shared_(shared), loop_(shared.loop()), partition_(partition) {}

GroupCoordinator::~GroupCoordinator() {
  CHECK(state_ == State::kClosed, "a coordinator goes without having been closed");
  refuse_all(*closed_);
}

coordinator::Now GroupCoordinator::now() const {
  return {loop_.clock().now(), loop_.clock().wall()};
}

std::string GroupCoordinator::name() const {
  return fmt::format("{}-{}", partition_.log().topic_name(), index());
}

std::optional<Status> GroupCoordinator::refusal() const {
  switch (state_) {
    case State::kServing:
      // Another one may have committed more by now, and nobody is to hear of less again.
      if (partition_.replica().leased()) return std::nullopt;
      return Status{ErrorCode::kNotCoordinator,
                    fmt::format("This broker does not know whether it still leads {}", name())};
    case State::kLoading:
      return Status{ErrorCode::kCoordinatorLoadInProgress,
                    fmt::format("The groups of {} are being read", name())};
    case State::kFailed:
      return Status{ErrorCode::kCoordinatorNotAvailable,
                    fmt::format("The groups of {} cannot be read: see the broker's log", name())};
    case State::kClosed:
      break;
  }
  return Status{*closed_, std::string(model::error_row(*closed_).meaning)};
}

// ---- Loading

void GroupCoordinator::load() {
  CHECK(state_ != State::kClosed && !pending_ && parked_.empty());
  state_ = State::kLoading;
  ++life_;
  report_ = {};
  rewriting_ = false;
  taken_ = flushed_ = committed_ = 0;
  machine_ = std::make_unique<coordinator::Machine>(shared_.settings());
  if (const auto damage = partition_.log().damage()) return fail(*damage);
  read_on(partition_.bounds().log_start);
}

void GroupCoordinator::read_on(Offset from) {
  const replica::Bounds bounds = partition_.bounds();
  if (from >= bounds.log_end) return loaded();
  if (from >= bounds.high_watermark) return wait_for_commit(from);
  partition_.read(from, replica::Isolation::kReadUncommitted, kLoadBytes, true,
                  [weak = weak_from_this(), life = life_, from](Result<storage::ReadResult> read) {
                    const auto self = weak.lock();
                    if (self != nullptr && self->life_ == life && self->loading())
                      self->take_piece(from, std::move(read));
                  });
}

// What an earlier life appended may still be on its way.
void GroupCoordinator::wait_for_commit(Offset from) {
  partition_.watch(from, replica::Isolation::kReadUncommitted,
                   [weak = weak_from_this(), life = life_, from, &loop = loop_] {
                     loop.post([weak, life, from] {
                       const auto self = weak.lock();
                       if (self != nullptr && self->life_ == life && self->loading())
                         self->read_on(from);
                     });
                   });
}

void GroupCoordinator::take_piece(Offset from, Result<storage::ReadResult> read) {
  if (!read.ok()) return fail(read.error());
  for (const common::Bytes& piece : read->pieces) {
    if (auto replayed = replay_group_log(piece, from, *machine_, report_); !replayed.ok())
      return fail(replayed.error());
  }
  if (read->next_offset <= from) return loaded();
  // Through the loop, so that others get their turn.
  loop_.post([weak = weak_from_this(), life = life_, next = read->next_offset] {
    const auto self = weak.lock();
    if (self != nullptr && self->life_ == life && self->loading()) self->read_on(next);
  });
}

void GroupCoordinator::loaded() {
  state_ = State::kServing;
  log_bytes_ = report_.bytes;
  live_bytes_ = 0;
  for (const std::string& one : report_.skipped_named)
    shared_.note(fmt::format("event=group-record-skipped partition={} detail=\"{}\"", name(), one));
  ++shared_.counters().loads;
  shared_.counters().records_skipped += report_.skipped;
  load_again_ = kLoadAgainMin;
  failure_.clear();
  machine_->loaded(now());
  turn();
  topics_changed();
}

void GroupCoordinator::fail(const Error& error) {
  state_ = State::kFailed;
  machine_.reset();
  ++shared_.counters().loads_failed;
  if (std::exchange(failure_, error.detail) != error.detail) {
    shared_.note(
        fmt::format("event=group-load-failed partition={} detail=\"{}\" action=\"its groups "
                    "are not served, and it is tried again; other partitions are not concerned\"",
                    name(), error.detail));
  }
  // A disk that failed once may answer the next time.
  loop_.after(load_again_, [weak = weak_from_this(), life = life_] {
    const auto self = weak.lock();
    if (self != nullptr && self->life_ == life && self->failed()) self->load();
  });
  load_again_ = std::min(2 * load_again_, kLoadAgainMax);
}

// ---- Effects

void GroupCoordinator::turn() {
  CHECK(state_ == State::kServing);
  while (auto effects = machine_->take_effects()) perform(std::move(*effects));
  arm_timer();
  // An answer may be the end of this coordinator, or bring the next request: now that the machine
  // has everything that it asked for.
  const auto self = shared_from_this();
  if (pending_ && pending_->records_bytes() > kBatchBytesMax) flush();
  deliver();
}

void GroupCoordinator::perform(coordinator::Effects effects) {
  if (!effects.records.empty() && !take(effects)) return;
  if (model::mutated(model::Mutation::kAnswerGroupsEarly)) effects.after = 0;
  if (!effects.answers.empty()) park({effects.after, std::move(effects.answers), {}});
}

/// Keeps the records for the next flush(), which comes soon; the machine stands on them from here
/// on. False: the log would refuse them, and the machine knows.
bool GroupCoordinator::take(coordinator::Effects& effects) {
  const coordinator::EncodedRecords encoded(effects.records);
  std::size_t bytes =
      model::kBatchHeaderBytes + encoded.bytes() + kRecordFrameBytes * encoded.size();
  if (pending_) bytes += pending_->records_bytes();
  if (const auto why = partition_.refusal(bytes)) {
    machine_->refused(std::move(effects), why->code, now());
    return false;
  }
  shared_.records_came();
  if (!pending_) {
    pending_.emplace();
    shared_.flush_soon(*this);
  }
  const common::Timestamp wall = loop_.clock().wall();
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    pending_->append(as_new(encoded, i, wall));
    count(effects.records[i]);
  }
  CHECK(effects.batch > taken_, "{}: batch {} follows {}", name(), effects.batch, taken_);
  taken_ = effects.batch;
  machine_->appended(effects, now());
  return true;
}

void GroupCoordinator::count(const Record& record) {
  GroupCounters& counters = shared_.counters();
  if (const auto* offset = std::get_if<coordinator::OffsetRecord>(&record)) {
    if (offset->value) ++counters.offsets_committed;
  } else if (const auto* classic = std::get_if<coordinator::ClassicGroupRecord>(&record)) {
    if (classic->value && !classic->value->members.empty()) ++counters.rebalances_classic;
  } else if (const auto* consumer = std::get_if<coordinator::ConsumerGroupRecord>(&record)) {
    if (consumer->value) ++counters.rebalances_consumer;
  }
}

void GroupCoordinator::flush() {
  if (!pending_) return;
  common::Bytes bytes = pending_->build();
  pending_.reset();
  flushed_ = taken_;
  log_bytes_ += bytes.size();
  ++shared_.counters().appends;
  partition_.append(std::move(bytes),
                    {.acks = replica::Acks::kAll, .origin = replica::Origin::kBroker},
                    [weak = weak_from_this(), life = life_,
                     batch = taken_](const replica::AppendOutcome& outcome) {
                      const auto self = weak.lock();
                      if (self != nullptr && self->life_ == life) self->flushed(batch, outcome);
                    });
  if (rewrite_due()) shared_.rewrite_soon(*this);
}

void GroupCoordinator::flushed(std::uint64_t batch, const replica::AppendOutcome& outcome) {
  if (!outcome.error) {
    committed_ = std::max(committed_, batch);
    return deliver();
  }
  if (state_ == State::kClosed) return refuse_all(*closed_);
  start_over(outcome.error->code);
}

/// The machine stands on records that the log did not take: it is thrown away.
void GroupCoordinator::start_over(ErrorCode code) {
  if (code == ErrorCode::kNotLeaderOrFollower) {
    // Another broker leads, or will: it reads the log, with those records or without.
    const auto self = shared_from_this();
    shared_.resign(index(), ErrorCode::kNotCoordinator);
    return refuse_all(ErrorCode::kNotCoordinator);
  }
  shared_.note(fmt::format("event=group-coordinator-reloads partition={} reason=\"{}\"", name(),
                           model::error_row(code).meaning));
  disarm_timer();
  machine_.reset();
  pending_.reset();
  state_ = State::kLoading;
  const auto self = shared_from_this();
  refuse_all(ErrorCode::kCoordinatorNotAvailable);
  if (state_ == State::kLoading) load();
}

// ---- Answers

void GroupCoordinator::park(Parked parked) {
  const auto place = std::upper_bound(
      parked_.begin(), parked_.end(), parked.after,
      [](std::uint64_t after, const Parked& other) { return after < other.after; });
  parked_.insert(place, std::move(parked));
}

void GroupCoordinator::deliver() {
  while (!parked_.empty() && parked_.front().after <= committed_) {
    Parked next = std::move(parked_.front());
    parked_.pop_front();
    if (next.look) {
      next.look(common::ok());
    } else {
      send(std::move(next.answers));
    }
  }
}

void GroupCoordinator::send(Answers answers) {
  for (auto& [ticket, answer] : answers) settle(ticket, std::move(answer));
}

void GroupCoordinator::settle(coordinator::Ticket ticket, Result<coordinator::Answer> answer) {
  auto waiting = waiting_.extract(ticket);
  CHECK(!waiting.empty(), "{}: ticket {} was answered twice or never drawn", name(),
        static_cast<std::uint64_t>(ticket));
  waiting.mapped()(std::move(answer));
}

void GroupCoordinator::refuse_all(ErrorCode code) {
  const Error why = model::error(code);
  std::deque<Parked> parked = std::exchange(parked_, {});
  for (Parked& one : parked) {
    if (one.look) one.look(why);
  }
  auto waiting = std::exchange(waiting_, {});
  std::vector<coordinator::Ticket> tickets;
  for (const auto& [ticket, done] : waiting) tickets.push_back(ticket);
  std::sort(tickets.begin(), tickets.end());
  for (const coordinator::Ticket ticket : tickets) waiting.at(ticket)(why);
}

// ---- Time

void GroupCoordinator::arm_timer() {
  const auto next = machine_->next_tick();
  if (!next) return;
  if (timer_ != env::TimerId::kNone && timer_at_ <= *next) return;
  disarm_timer();
  timer_at_ = *next;
  const common::Instant here = loop_.clock().now();
  const common::Duration delay = *next <= here ? common::Duration(kTickMin)
                                               : std::max<common::Duration>(kTickMin, *next - here);
  timer_ = loop_.after(delay, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->timer_ = env::TimerId::kNone;
    if (self->state_ != State::kServing) return;
    self->machine_->tick(self->now());
    self->turn();
  });
}

void GroupCoordinator::disarm_timer() {
  if (timer_ != env::TimerId::kNone) loop_.cancel(std::exchange(timer_, env::TimerId::kNone));
}

void GroupCoordinator::topics_changed() {
  if (state_ != State::kServing) return;
  machine_->topics_changed(shared_.topics(), now());
  turn();
}

void GroupCoordinator::settings_changed() {
  if (machine_ == nullptr) return;
  machine_->set_settings(shared_.settings());
  if (state_ == State::kServing) turn();
}

// ---- Rewriting

bool GroupCoordinator::rewrite_due() const {
  // What was left out at the load would be lost by it.
  return state_ == State::kServing && !rewriting_ && report_.skipped == 0 && report_.foreign == 0 &&
         log_bytes_ > std::max(kRewriteBytesMin, kRewriteFactor * live_bytes_);
}

void GroupCoordinator::rewrite() {
  flush();
  if (!rewrite_due() || partition_.refusal(kRewriteBatchBytes)) return;
  rewriting_ = true;
  ++shared_.counters().rewrites;
  const Offset from = partition_.bounds().log_end;
  const std::vector<Record> state = machine_->snapshot();
  log_bytes_ = 0;
  live_bytes_ = 0;
  // Each batch's outcome comes in order: the last one says that all are there, if none failed.
  auto failed = std::make_shared<bool>(false);
  const auto append = [&](common::Bytes batch, bool last) {
    live_bytes_ += batch.size();
    partition_.append(std::move(batch),
                      {.acks = replica::Acks::kAll, .origin = replica::Origin::kBroker},
                      [weak = weak_from_this(), life = life_, failed, last,
                       from](replica::AppendOutcome outcome) {
                        if (outcome.error) *failed = true;
                        const auto self = weak.lock();
                        if (!last || self == nullptr || self->life_ != life) return;
                        self->rewriting_ = false;
                        if (!*failed) self->rewritten(from);
                      });
  };
  const common::Timestamp wall = loop_.clock().wall();
  model::BatchBuilder batch;
  for (const Record& record : state) {
    if (batch.records_bytes() >= kRewriteBatchBytes)
      append(std::exchange(batch, model::BatchBuilder{}).build(), false);
    batch.append(as_new(coordinator::EncodedRecords({&record, 1}), 0, wall));
  }
  if (batch.count() > 0) return append(batch.build(), true);
  rewriting_ = false;
  if (partition_.bounds().high_watermark == from) rewritten(from);
}

void GroupCoordinator::rewritten(Offset from) {
  // Records of a topic that also has "delete" may go by themselves, and more than these.
  if (partition_.bounds().log_start > from) return;
  // A failure leaves the log as it was, longer than it needs to be.
  partition_.trim(from, [](Result<void>) {});
}

// ---- The end

void GroupCoordinator::close(ErrorCode code) {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  state_ = State::kClosed;
  closed_ = code;
  disarm_timer();
  if (machine_ != nullptr) {
    machine_->close(code);
    while (auto effects = machine_->take_effects()) send(std::move(effects->answers));
    machine_.reset();
  }
  // What is not appended yet never happened.
  pending_.reset();
  const Error why = model::error(code);
  while (!parked_.empty() && parked_.back().after > flushed_) {
    Parked last = std::move(parked_.back());
    parked_.pop_back();
    if (last.look) last.look(why);
    for (auto& [ticket, answer] : last.answers) settle(ticket, why);
  }
}

}  // namespace millrace::service
