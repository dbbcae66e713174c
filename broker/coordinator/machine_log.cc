// Between the machine and its log: effects out, what became of them in, loading, snapshots.
#include <algorithm>
#include <chrono>
#include <type_traits>
#include <utility>

#include "broker/coordinator/machine.h"
#include "broker/coordinator/machine_state.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

/// What members are told when the log refused for this reason, so that they look for the
/// coordinator or try again (the errors that Kafka's clients know here).
ErrorCode for_members(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnknownTopicOrPartition:
    case ErrorCode::kNotEnoughReplicas:
    case ErrorCode::kNotEnoughReplicasAfterAppend:
    case ErrorCode::kRequestTimedOut:
    case ErrorCode::kNoSpace:
    case ErrorCode::kMemoryExhausted:
      return ErrorCode::kCoordinatorNotAvailable;
    case ErrorCode::kNotLeaderOrFollower:
    case ErrorCode::kKafkaStorageError:
    case ErrorCode::kIo:
    case ErrorCode::kCorruptLog:
    case ErrorCode::kShuttingDown:
      return ErrorCode::kNotCoordinator;
    case ErrorCode::kMessageTooLarge:
    case ErrorCode::kRecordListTooLarge:
    case ErrorCode::kInvalidFetchSize:
      return ErrorCode::kUnknownServerError;
    default:
      return code;
  }
}

Status& status_of(Answer& answer) {
  return std::visit(
      [](auto& outcome) -> Status& {
        if constexpr (std::is_same_v<std::decay_t<decltype(outcome)>, Status>) {
          return outcome;
        } else {
          return outcome.status;
        }
      },
      answer);
}

/// The same kind of answer, with nothing but the error. One that is an error already stays.
Answer failed(Answer answer, ErrorCode code) {
  if (!status_of(answer).ok()) return answer;
  const bool is_commit = std::holds_alternative<OffsetCommitOutcome>(answer);
  std::visit([](auto& outcome) { outcome = std::decay_t<decltype(outcome)>{}; }, answer);
  const bool is_too_large = code == ErrorCode::kUnknownServerError && is_commit;
  status_of(answer).code = is_too_large ? ErrorCode::kInvalidCommitOffsetSize : code;
  return answer;
}

}  // namespace

// ---- Effects.

std::optional<Effects> Machine::take_effects() {
  State& state = *state_;
  CHECK(!state.flight.has_value(), "batch {} was neither appended nor refused",
        state.flight->batch);
  Outbox taken = std::exchange(state.outbox, Outbox{});
  const std::uint64_t after = std::exchange(state.after, 0);
  state.only_commits = true;
  if (taken.records.empty() && taken.answers.empty()) {
    CHECK(taken.joins_again.empty(), "a join waits for records that there are not");
    return std::nullopt;
  }
  Effects effects;
  effects.records = std::move(taken.records);
  effects.answers = std::move(taken.answers);
  effects.after = after;
  if (effects.records.empty()) {
    CHECK(taken.joins_again.empty(), "a join waits for records that there are not");
    return effects;
  }
  effects.batch = ++state.batches;
  effects.after = effects.batch;
  state.flight = State::Flight{effects.batch, std::move(taken.joins_again)};
  return effects;
}

void Machine::appended(const Effects& effects, Now now) {
  State& state = *state_;
  CHECK(state.flight.has_value(), "nothing was to be appended");
  CHECK(state.flight->batch == effects.batch, "batch {} instead of {}", effects.batch,
        state.flight->batch);
  const State::Flight flight = *std::exchange(state.flight, std::nullopt);
  State::Touched touched;
  for (const Record& record : effects.records) state.apply(record, &touched);
  state.settle(touched, now);
  CHECK(flight.joins_again.size() <= 1, "{} joins at once", flight.joins_again.size());
  for (const auto& [ticket, request] : flight.joins_again) state.join(ticket, request, now);
  state.only_commits = false;
}

void Machine::refused(Effects effects, ErrorCode code, Now now) {
  State& state = *state_;
  CHECK(code != ErrorCode::kNone);
  CHECK(state.flight.has_value(), "nothing was to be appended");
  CHECK(state.flight->batch == effects.batch, "batch {} instead of {}", effects.batch,
        state.flight->batch);
  const State::Flight flight = *std::exchange(state.flight, std::nullopt);
  const ErrorCode told = for_members(code);
  for (auto& [ticket, answer] : effects.answers) {
    state.outbox.answers.emplace_back(ticket, failed(std::move(answer), told));
  }
  for (const auto& [ticket, request] : flight.joins_again) {
    state.outbox.answer(ticket, JoinOutcome{.status = {.code = told}, .member = request.member});
  }
  for (const Record& record : effects.records) {
    const auto* stored = std::get_if<ClassicGroupRecord>(&record);
    if (stored == nullptr || !stored->value.has_value()) continue;
    Group* group = state.find(stored->group);
    // A consumer group that was to become a classic one stays what it is.
    if (group == nullptr || group->classic() == nullptr) continue;
    group->classic()->refused(now, state.outbox);
    state.forget_if_nothing(stored->group);
  }
  state.only_commits = false;
}

// ---- Records.

void Machine::State::apply(const Record& record, Touched* touched) {
  std::visit(
      [&](const auto& one) {
        using One = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<One, OffsetRecord> ||
                      std::is_same_v<One, ClassicGroupRecord>) {
          apply(one, touched);
        } else {
          apply_consumer(record, one.group, !one.value.has_value(), touched);
        }
      },
      record);
}

void Machine::State::apply(const OffsetRecord& record, Touched* touched) {
  Group* group = record.value.has_value() ? &find_or_make(record.group) : find(record.group);
  if (group == nullptr) return;
  group->offsets.apply(record);
  if (is_loaded) group->offsets_batch = batches;
  if (touched != nullptr && group->offsets.empty()) touched->groups.insert(record.group);
}

void Machine::State::apply(const ClassicGroupRecord& record, Touched* touched) {
  Group* group = record.value.has_value() ? &find_or_make(record.group) : find(record.group);
  if (group == nullptr || group->classic() == nullptr) {
    // In the log before the tombstone of the consumer group that it followed, and compacted since.
    if (group == nullptr || !record.value.has_value()) return;
    CHECK(!is_loaded, "{} is a consumer group", record.group);
    group->members = std::make_unique<ClassicGroup>(record.group, shared);
  }
  if (is_loaded) group->members_batch = batches;
  if (touched != nullptr) touched->groups.insert(record.group);
  if (!record.value.has_value()) {
    // Who waited in a group that became a consumer group joins again, and finds that.
    group->classic()->close(ErrorCode::kRebalanceInProgress, outbox);
    group->members = std::make_unique<ClassicGroup>(record.group, shared);
    return;
  }
  if (touched == nullptr || touched->converted.count(record.group) > 0) {
    return group->classic()->load(*record.value);
  }
  group->classic()->apply(*record.value);
}

void Machine::State::apply_consumer(const Record& record, const std::string& name,
                                    bool is_tombstone, Touched* touched) {
  Group* group = is_tombstone ? find(name) : &find_or_make(name);
  if (group == nullptr) return;
  if (is_loaded) group->members_batch = batches;
  if (touched != nullptr) touched->groups.insert(name);
  if (group->consumer() == nullptr) {
    if (is_tombstone) return;
    group->classic()->close(ErrorCode::kRebalanceInProgress, outbox);
    group->members = std::make_unique<ConsumerGroup>(name, shared);
  }
  group->consumer()->apply(record);
  if (!is_tombstone || !std::holds_alternative<ConsumerGroupRecord>(record)) return;
  group->members = std::make_unique<ClassicGroup>(name, shared);
  if (touched != nullptr) touched->converted.insert(name);
}

/// The groups after all records of a batch.
void Machine::State::settle(const Touched& touched, Now now) {
  for (const std::string& name : touched.groups) {
    Group* group = find(name);
    if (group == nullptr) continue;
    if (group->consumer() != nullptr) {
      group->consumer()->settle(now, outbox);
    } else if (touched.converted.count(name) > 0 && group->classic()->stored().has_value()) {
      group->classic()->converted(now, outbox);
    }
    forget_if_nothing(name);
  }
}

// ---- Loading, leaving, snapshots.

void Machine::load(const Record& record) {
  CHECK(!state_->is_loaded, "a record after loaded()");
  state_->apply(record, nullptr);
}

void Machine::loaded(Now now) {
  State& state = *state_;
  CHECK(!state.is_loaded, "loaded twice");
  state.is_loaded = true;
  for (const std::string& name : state.names()) {
    Group& group = *state.find(name);
    if (group.consumer() != nullptr) {
      group.consumer()->settle(now, state.outbox);
    } else {
      group.classic()->settle(now, state.outbox);
    }
    state.forget_if_nothing(name);
  }
  state.next_sweep =
      now.instant + std::chrono::milliseconds(state.shared.settings.offsets_retention_check_ms);
  state.only_commits = false;
}

void Machine::close(ErrorCode code) {
  State& state = *state_;
  CHECK(!state.is_closed, "closed twice");
  CHECK(code != ErrorCode::kNone);
  state.is_closed = true;
  Outbox untaken = std::exchange(state.outbox, Outbox{});
  for (auto& [ticket, answer] : untaken.answers) {
    state.outbox.answers.emplace_back(ticket, failed(std::move(answer), code));
  }
  if (state.flight.has_value()) untaken.joins_again = std::move(state.flight->joins_again);
  state.flight.reset();
  for (const auto& [ticket, request] : untaken.joins_again) {
    state.outbox.answer(ticket, JoinOutcome{.status = {.code = code}, .member = request.member});
  }
  for (const std::string& name : state.names()) {
    Group& group = *state.find(name);
    if (group.classic() != nullptr) group.classic()->close(code, state.outbox);
  }
  CHECK(state.outbox.records.empty());
}

std::vector<Record> Machine::snapshot() const {
  std::vector<Record> records;
  for (const std::string& name : state_->names()) {
    const Group& group = *state_->find(name);
    group.snapshot(records);
    group.offsets.snapshot(name, records);
  }
  return records;
}

}  // namespace millrace::coordinator
