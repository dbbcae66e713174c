#include "broker/coordinator/classic_group.h"

#include <chrono>
#include <utility>

#include "common/check.h"

namespace millrace::coordinator {

ClassicGroup::ClassicGroup(std::string name, Shared& shared)
    : name_(std::move(name)),
      shared_(shared),
      join_timer_(shared.timers, {.group = name_, .member = {}, .kind = TimerKind::kJoin}),
      sync_timer_(shared.timers, {.group = name_, .member = {}, .kind = TimerKind::kSync}) {}

ClassicGroup::~ClassicGroup() = default;

Timer ClassicGroup::member_timer(const std::string& member, TimerKind kind) const {
  return Timer(shared_.timers, {.group = name_, .member = member, .kind = kind});
}

// ---- What became of it.

void ClassicGroup::load(const ClassicGroupRecord::Value& value) {
  CHECK(members_.empty(), "{} is in use", name_);
  stored_ = value;
}

void ClassicGroup::settle(Now now, Outbox& out) {
  if (!stored_.has_value()) return;
  adopt(*stored_, now);
  // Members without a leader are what a consumer group left behind: they have an assignment each,
  // but nobody saw to it that together they have all partitions.
  const bool is_rest = !members_.empty() && !stored_->leader.has_value();
  if (is_rest || std::cmp_greater(members_.size(), shared_.settings.group_max_size)) {
    rebalance(now, out);
  }
}

void ClassicGroup::converted(Now now, Outbox& out) {
  CHECK(stored_.has_value(), "{} was converted into nothing", name_);
  adopt(*stored_, now);
  if (!members_.empty()) rebalance(now, out);
}

/// The value comes from the log, maybe of another broker: what cannot be is left out.
void ClassicGroup::adopt(const ClassicGroupRecord::Value& value, Now now) {
  CHECK(members_.empty());
  generation_ = value.generation;
  if (!value.protocol_type.empty()) protocol_type_ = value.protocol_type;
  protocol_ = value.protocol;
  for (const ClassicGroupRecord::Member& stored : value.members) {
    const bool is_taken =
        members_.find(stored.member) != nullptr ||
        (stored.instance.has_value() && members_.find_instance(*stored.instance) != nullptr);
    if (stored.member.empty() || is_taken) continue;
    ClassicMember member;
    member.id = stored.member;
    member.instance = stored.instance;
    member.client = stored.client;
    member.rebalance_timeout_ms = stored.rebalance_timeout_ms;
    member.session_timeout_ms = stored.session_timeout_ms;
    member.protocols = {{.name = protocol_.value_or(""), .metadata = stored.subscription}};
    member.assignment = stored.assignment;
    member.session = member_timer(member.id, TimerKind::kSession);
    keep_session(members_.add(std::move(member)), now);
  }
  if (value.leader.has_value() && members_.find(*value.leader) != nullptr) {
    members_.lead(*value.leader);
  }
  state_ = members_.empty() ? GroupState::kEmpty : GroupState::kStable;
  if (members_.empty()) emptied_ = value.state_since;
  read_subscriptions();
}

void ClassicGroup::apply(const ClassicGroupRecord::Value& value) {
  CHECK(value.generation == generation_, "{} is at {}, not at {}", name_, generation_,
        value.generation);
  CHECK(value.members.size() == members_.size());
  for (const ClassicGroupRecord::Member& stored : value.members) {
    ClassicMember* member = members_.find(stored.member);
    CHECK(member != nullptr, "{} stored {}, who is not a member", name_, stored.member);
    member->assignment = stored.assignment;
  }
  if (state_ == GroupState::kCompletingRebalance) state_ = GroupState::kStable;
  CHECK(state_ == (members_.empty() ? GroupState::kEmpty : GroupState::kStable));
  CHECK(storing_, "a record of {} from nowhere", name_);
  storing_ = false;
  stored_ = value;
  replaced_.reset();
}

void ClassicGroup::refused(Now now, Outbox& out) {
  CHECK(storing_, "a record of {} from nowhere", name_);
  storing_ = false;
  if (replaced_.has_value()) {
    const Replaced old = *std::exchange(replaced_, std::nullopt);
    ClassicMember& member = members_.rename(old.instance, old.id);
    member.client = old.client;
    member.rebalance_timeout_ms = old.rebalance_timeout_ms;
    member.session_timeout_ms = old.session_timeout_ms;
    members_.set_protocols(member, old.protocols);
    member.session = member_timer(member.id, TimerKind::kSession);
    keep_session(member, now);
    return;
  }
  // Without a stored assignment the generation has none: another one is needed.
  if (state_ == GroupState::kCompletingRebalance) return rebalance(now, out);
  // That the group is empty need not be stored: after a restart its members would expire.
  CHECK(state_ == GroupState::kEmpty);
}

void ClassicGroup::close(ErrorCode code, Outbox& out) {
  for (auto& [id, member] : members_) {
    if (const auto join = members_.take_join(member)) {
      out.answer(*join, JoinOutcome{.status = {.code = code}, .member = id});
    }
    if (const auto sync = members_.take_sync(member)) {
      out.answer(*sync, SyncOutcome{.status = {.code = code}});
    }
  }
  CHECK(members_.joining() == 0);
}

// ---- Requests that need no other member.

Status ClassicGroup::check_member(const std::string& member,
                                  const std::optional<std::string>& instance) const {
  const ClassicMember* known = members_.find(member);
  if (instance.has_value()) {
    const ClassicMember* holder = members_.find_instance(*instance);
    if (holder == nullptr) return {.code = ErrorCode::kUnknownMemberId};
    if (holder->id != member) return {.code = ErrorCode::kFencedInstanceId};
  }
  if (known == nullptr) return {.code = ErrorCode::kUnknownMemberId};
  return {};
}

void ClassicGroup::keep_session(ClassicMember& member, Now now) {
  member.last_heard = now.instant;
  member.session.set(now.instant + std::chrono::milliseconds(member.session_timeout_ms));
}

void ClassicGroup::heartbeat(Ticket ticket, const Heartbeat& request, Now now, Outbox& out) {
  const Status status = check_member(request.member, request.instance);
  if (!status.ok()) return out.answer(ticket, status);
  if (request.generation != generation_) {
    return out.answer(ticket, Status{.code = ErrorCode::kIllegalGeneration});
  }
  ClassicMember* member = members_.find(request.member);
  CHECK(member != nullptr);
  CHECK(state_ != GroupState::kEmpty);
  keep_session(*member, now);
  // While the others still join, each heartbeat says so; later there is nothing to be told.
  const bool must_join = state_ == GroupState::kPreparingRebalance;
  out.answer(ticket,
             Status{.code = must_join ? ErrorCode::kRebalanceInProgress : ErrorCode::kNone});
}

void ClassicGroup::leave(Ticket ticket, const LeaveGroup& request, Now now, Outbox& out) {
  LeaveOutcome outcome;
  const std::size_t before = members_.size();
  for (const LeaveGroup::Member& leaving : request.members) {
    outcome.members.push_back(leave_one(leaving, out));
  }
  if (members_.size() < before) {
    after_removal(now, out);
  } else {
    complete_if_all_joined(now, out);  // it may have been waiting for one that was only told its id
  }
  out.answer(ticket, std::move(outcome));
}

Status ClassicGroup::leave_one(const LeaveGroup::Member& leaving, Outbox& out) {
  std::string member = leaving.member;
  if (member.empty() && leaving.instance.has_value()) {  // an admin knows the instance only
    const ClassicMember* holder = members_.find_instance(*leaving.instance);
    if (holder == nullptr) return {.code = ErrorCode::kUnknownMemberId};
    member = holder->id;
  } else if (pending_.erase(member) > 0) {
    return {};
  }
  Status status = check_member(member, leaving.instance);
  if (status.ok()) remove_member(member, out);
  return status;
}

Status ClassicGroup::check_commit(const OffsetCommit& request, Now now) {
  const bool is_empty = state_ == GroupState::kEmpty;
  if (request.epoch.value() < 0 && is_empty) return {};  // an admin, or a consumer without a group
  if (request.epoch.value() < 0 && request.member.empty() && !request.instance.has_value()) {
    return {.code = ErrorCode::kUnknownMemberId};
  }
  Status status = check_member(request.member, request.instance);
  if (!status.ok()) return status;
  if (request.epoch != generation_) return {.code = ErrorCode::kIllegalGeneration};
  // The member knows of this generation from its join, but its partitions may be others' by now.
  if (state_ == GroupState::kCompletingRebalance) return {.code = ErrorCode::kRebalanceInProgress};
  ClassicMember* member = members_.find(request.member);
  CHECK(member != nullptr);
  keep_session(*member, now);
  return {};
}

void ClassicGroup::expired(const TimerTarget& target, Now now, Outbox& out) {
  CHECK(target.group == name_);
  switch (target.kind) {
    case TimerKind::kSession:
      return session_fired(target.member, now, out);
    case TimerKind::kPending:
      CHECK(pending_.erase(target.member) == 1, "{} was not expected", target.member);
      return complete_if_all_joined(now, out);
    case TimerKind::kJoin:
      return join_timer_fired(now, out);
    case TimerKind::kSync:
      return sync_timer_fired(now, out);
    case TimerKind::kRebalance:
    case TimerKind::kAssign:
      break;
  }
  CHECK(false, "a timer of a consumer group fired in {}", name_);
}

// ---- Reads.

void ClassicGroup::read_subscriptions() {
  subscribed_.reset();
  if (!uses_consumer_protocol()) return;
  std::set<std::string> topics;
  for (const auto& [id, member] : members_) {
    const Protocol* chosen = protocol_.has_value() ? member.protocol(*protocol_) : nullptr;
    if (chosen == nullptr) return;
    auto named = decode_topics(chosen->metadata);
    if (!named.ok()) return;
    for (std::string& topic : *named) topics.insert(std::move(topic));
  }
  subscribed_ = std::move(topics);
}

bool ClassicGroup::subscribes(const std::string& topic) const {
  if (!subscribed_.has_value()) return uses_consumer_protocol();
  return subscribed_->count(topic) > 0;
}

OffsetAge ClassicGroup::offset_age() const {
  if (!protocol_type_.has_value()) return OffsetAge::kSinceCommit;  // commits without members
  if (state_ == GroupState::kEmpty) return OffsetAge::kSinceEmptied;
  if (state_ == GroupState::kStable && subscribed_.has_value()) return OffsetAge::kSinceCommit;
  return OffsetAge::kAgeless;
}

ClassicGroupRecord::Value ClassicGroup::to_store(Now now) const {
  ClassicGroupRecord::Value value;
  value.protocol_type = protocol_type_.value_or("");
  value.generation = generation_;
  value.protocol = protocol_;
  if (!members_.leader().empty()) value.leader = members_.leader();
  value.state_since = now.wall;
  for (const auto& [id, member] : members_) {
    const Protocol* chosen = protocol_.has_value() ? member.protocol(*protocol_) : nullptr;
    value.members.push_back({.member = id,
                             .instance = member.instance,
                             .client = member.client,
                             .rebalance_timeout_ms = member.rebalance_timeout_ms,
                             .session_timeout_ms = member.session_timeout_ms,
                             .subscription = chosen == nullptr ? common::Bytes() : chosen->metadata,
                             .assignment = member.assignment});
  }
  return value;
}

void ClassicGroup::store(ClassicGroupRecord::Value value, Outbox& out) {
  CHECK(!storing_, "{} stores twice at once", name_);
  storing_ = true;
  out.records.emplace_back(ClassicGroupRecord{.group = name_, .value = std::move(value)});
}

GroupSummary ClassicGroup::summary() const {
  return {.group = name_,
          .protocol_type = protocol_type_.value_or(""),
          .state = state_,
          .type = GroupType::kClassic};
}

GroupDescription ClassicGroup::describe() const {
  GroupDescription description;
  description.summary = summary();
  description.epoch = generation_;
  const bool is_stable = state_ == GroupState::kStable;
  if (is_stable) description.protocol = protocol_.value_or("");
  for (const auto& [id, member] : members_) {
    GroupDescription::Member described;
    described.member = id;
    described.instance = member.instance;
    described.client = member.client;
    const Protocol* chosen = is_stable ? member.protocol(description.protocol) : nullptr;
    if (chosen != nullptr) described.metadata = chosen->metadata;
    described.assignment_bytes = member.assignment;
    described.classic = true;
    described.last_heard = member.last_heard;
    description.members.push_back(std::move(described));
  }
  return description;
}

}  // namespace millrace::coordinator
