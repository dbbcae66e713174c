// Inputs find their group here.
#include "broker/coordinator/machine.h"

#include <algorithm>

#include "broker/coordinator/machine_state.h"
#include "common/check.h"

namespace millrace::coordinator {

Machine::Machine(const Settings& settings) : state_(std::make_unique<State>(settings)) {}
Machine::~Machine() = default;

// ---- Groups.

void Machine::State::begin(Gather gather) {
  CHECK(is_loaded, "an input while the machine loads");
  CHECK(!is_closed, "an input after close()");
  CHECK(!flight.has_value(), "batch {} was neither appended nor refused", flight->batch);
  const bool is_empty = outbox.records.empty() && outbox.answers.empty();
  CHECK(is_empty || (gather == Gather::kWithCommits && only_commits),
        "the effects of the last input were not taken");
  only_commits = gather == Gather::kWithCommits;
}

Group* Machine::State::find(const std::string& name) {
  const auto at = groups.find(name);
  return at == groups.end() ? nullptr : &at->second;
}

const Group* Machine::State::find(const std::string& name) const {
  const auto at = groups.find(name);
  return at == groups.end() ? nullptr : &at->second;
}

Group& Machine::State::find_or_make(const std::string& name) {
  return groups.try_emplace(name, name, shared).first->second;
}

std::vector<std::string> Machine::State::names() const {
  std::vector<std::string> names;
  names.reserve(groups.size());
  for (const auto& [name, group] : groups) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

void Machine::State::forget_if_nothing(const std::string& name) {
  const auto at = groups.find(name);
  if (at != groups.end() && at->second.is_nothing()) groups.erase(at);
}

// ---- The classic protocol.

void Machine::join(Ticket ticket, const JoinGroup& request, Now now) {
  state_->begin();
  state_->join(ticket, request, now);
}

void Machine::State::join(Ticket ticket, const JoinGroup& request, Now now) {
  const auto refuse = [&](ErrorCode code) {
    outbox.answer(ticket, JoinOutcome{.status = {.code = code}, .member = request.member});
  };
  if (request.group.empty()) return refuse(ErrorCode::kInvalidGroupId);
  if (request.session_timeout_ms < shared.settings.group_min_session_timeout_ms ||
      request.session_timeout_ms > shared.settings.group_max_session_timeout_ms) {
    return refuse(ErrorCode::kInvalidSessionTimeout);
  }
  Group* group = find(request.group);
  if (group != nullptr) tell_of(group->members_batch);
  const bool is_consumer = group != nullptr && group->consumer() != nullptr;
  if (is_consumer && !group->consumer()->empty()) {
    return group->consumer()->join(ticket, request, now, outbox);
  }
  // Only who has no id yet may make a group.
  const bool must_exist = !request.member.empty();
  if (must_exist && (group == nullptr || is_consumer)) return refuse(ErrorCode::kUnknownMemberId);
  if (is_consumer) {  // and empty: a classic group takes its place
    group->tombstones(outbox.records);
    outbox.joins_again.emplace_back(ticket, request);
    return;
  }
  find_or_make(request.group).classic()->join(ticket, request, now, outbox);
  forget_if_nothing(request.group);
}

void Machine::sync(Ticket ticket, const SyncGroup& request, Now now) {
  State& state = *state_;
  state.begin();
  Group* group = state.find(request.group);
  if (group == nullptr) {
    const auto code =
        request.group.empty() ? ErrorCode::kInvalidGroupId : ErrorCode::kUnknownMemberId;
    return state.outbox.answer(ticket, SyncOutcome{.status = {.code = code}});
  }
  state.tell_of(group->members_batch);
  if (group->consumer() != nullptr) {
    return group->consumer()->sync(ticket, request, now, state.outbox);
  }
  group->classic()->sync(ticket, request, now, state.outbox);
}

void Machine::heartbeat(Ticket ticket, const Heartbeat& request, Now now) {
  State& state = *state_;
  state.begin();
  Group* group = state.find(request.group);
  if (group == nullptr) {
    const auto code =
        request.group.empty() ? ErrorCode::kInvalidGroupId : ErrorCode::kUnknownMemberId;
    return state.outbox.answer(ticket, Status{.code = code});
  }
  state.tell_of(group->members_batch);
  if (group->consumer() != nullptr) {
    return group->consumer()->heartbeat(ticket, request, now, state.outbox);
  }
  group->classic()->heartbeat(ticket, request, now, state.outbox);
}

void Machine::leave(Ticket ticket, const LeaveGroup& request, Now now) {
  State& state = *state_;
  state.begin();
  if (request.group.empty()) {
    return state.outbox.answer(ticket,
                               LeaveOutcome{.status = {.code = ErrorCode::kInvalidGroupId}});
  }
  Group* group = state.find(request.group);
  if (group == nullptr) {
    const std::vector<Status> nobody(request.members.size(),
                                     Status{.code = ErrorCode::kUnknownMemberId});
    return state.outbox.answer(ticket, LeaveOutcome{.members = nobody});
  }
  state.tell_of(group->members_batch);
  if (group->consumer() != nullptr) {
    return group->consumer()->leave(ticket, request, now, state.outbox);
  }
  group->classic()->leave(ticket, request, now, state.outbox);
  state.forget_if_nothing(request.group);
}

// ---- The consumer protocol.

void Machine::consumer_heartbeat(Ticket ticket, const ConsumerHeartbeat& request, Now now) {
  State& state = *state_;
  state.begin();
  const auto refuse = [&](ErrorCode code) {
    state.outbox.answer(
        ticket, ConsumerHeartbeatOutcome{.status = {.code = code}, .member = request.member});
  };
  if (request.group.empty()) return refuse(ErrorCode::kInvalidRequest);
  Group* group = state.find(request.group);
  if (group != nullptr) state.tell_of(group->members_batch);
  if (group != nullptr && group->consumer() != nullptr) {
    return group->consumer()->consumer_heartbeat(ticket, request, now, state.outbox);
  }
  if (request.epoch.value() != 0) return refuse(ErrorCode::kGroupIdNotFound);
  state.found_consumer_group(ticket, request, group, now);
}

/// The first member of a consumer group: a new one, or one that takes the place of a classic group.
void Machine::State::found_consumer_group(Ticket ticket, const ConsumerHeartbeat& request,
                                          Group* group, Now now) {
  std::vector<Record> before;
  if (group != nullptr && group->empty()) {
    group->tombstones(before);
  } else if (group != nullptr) {
    auto upgraded = upgrade(*group->classic(), shared, now);
    if (!upgraded.ok()) {
      const common::Error error = std::move(upgraded).error();
      return outbox.answer(
          ticket, ConsumerHeartbeatOutcome{.status = {.code = error.code, .detail = error.detail},
                                           .member = request.member});
    }
    before = *std::move(upgraded);
  }
  // What stands at the end is made by the records. This one only decides which.
  ConsumerGroup draft(request.group, shared);
  for (const Record& record : before) {
    if (!std::holds_alternative<ClassicGroupRecord>(record)) draft.apply(record);
  }
  Outbox drafted;
  draft.consumer_heartbeat(ticket, request, now, drafted);
  CHECK(drafted.joins_again.empty());
  if (!drafted.records.empty()) {  // else it was refused, and all stays as it is
    std::move(before.begin(), before.end(), std::back_inserter(outbox.records));
    std::move(drafted.records.begin(), drafted.records.end(), std::back_inserter(outbox.records));
  }
  std::move(drafted.answers.begin(), drafted.answers.end(), std::back_inserter(outbox.answers));
}

// ---- The world.

void Machine::tick(Now now) {
  State& state = *state_;
  state.begin();
  state.decided.clear();
  while (!state.is_full()) {
    const TimerTarget* due = state.shared.timers.due(now.instant);
    if (due == nullptr || state.has_decided(due->group)) break;
    state.fire(*state.shared.timers.take_due(now.instant), now);
  }
  state.reassign(now);
  state.sweep(now);
}

void Machine::State::fire(const TimerTarget& target, Now now) {
  Group* group = find(target.group);
  CHECK(group != nullptr, "a timer of {}, which is not there", target.group);
  if (group->consumer() != nullptr) {
    const std::size_t before = outbox.records.size();
    group->consumer()->expired(target, now, outbox);
    if (outbox.records.size() > before) decided.insert(target.group);
    return;
  }
  group->classic()->expired(target, now, outbox);
  forget_if_nothing(target.group);
}

std::optional<common::Instant> Machine::next_tick() const {
  const State& state = *state_;
  if (!state.is_loaded) return std::nullopt;
  if (!state.to_sweep.empty() || !state.to_reassign.empty()) return state.looked_at;
  const auto timer = state.shared.timers.next();
  return timer.has_value() ? std::min(*timer, state.next_sweep) : state.next_sweep;
}

void Machine::set_settings(const Settings& settings) {
  state_->shared.settings = settings;
}

// ---- Reads.

std::vector<GroupSummary> Machine::list() const {
  std::vector<GroupSummary> list;
  for (const std::string& name : state_->names()) {
    const Group& group = *state_->find(name);
    list.push_back(group.classic() != nullptr
                       ? group.classic()->summary()
                       : GroupSummary{.group = name,
                                      .protocol_type = std::string(kConsumerProtocolType),
                                      .state = group.consumer()->state(),
                                      .type = GroupType::kConsumer});
  }
  return list;
}

GroupDescription Machine::describe(const std::string& name) const {
  const Group* group = state_->find(name);
  if (group != nullptr) return group->describe();
  GroupDescription nothing;
  nothing.status.code = ErrorCode::kGroupIdNotFound;
  nothing.summary = {.group = name, .protocol_type = {}, .state = GroupState::kDead};
  return nothing;
}

}  // namespace millrace::coordinator
