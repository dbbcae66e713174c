// The phases of a rebalance: joining, the leader's assignment, and who is late in either.
#include <algorithm>
#include <chrono>
#include <limits>
#include <unordered_map>
#include <utility>

#include "broker/coordinator/classic_group.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

using std::chrono::milliseconds;

/// Between two looks at a group whose static members do not come, whatever they asked for.
constexpr milliseconds kRetryMin{1'000};

}  // namespace

// ---- Joining.

void ClassicGroup::rebalance_or_complete(Now now, Outbox& out) {
  if (state_ != GroupState::kPreparingRebalance) return rebalance(now, out);
  complete_if_all_joined(now, out);
}

void ClassicGroup::rebalance(Now now, Outbox& out) {
  CHECK(state_ != GroupState::kPreparingRebalance, "{} rebalances already", name_);
  if (state_ == GroupState::kCompletingRebalance) {
    fail_syncs(ErrorCode::kRebalanceInProgress, now, out);
  }
  for (auto& [id, member] : members_) members_.set_owes_sync(member, false);
  sync_timer_.clear();
  is_first_ = state_ == GroupState::kEmpty;
  state_ = GroupState::kPreparingRebalance;
  if (is_first_) {
    const milliseconds delay(shared_.settings.group_initial_rebalance_delay_ms);
    const milliseconds timeout(members_.rebalance_timeout_ms());
    joined_lately_ = false;
    delay_ = delay;
    delay_more_ = std::max(timeout - delay, milliseconds(0));
    join_timer_.set(now.instant + delay_);
    return;
  }
  join_timer_.set(now.instant + milliseconds(members_.rebalance_timeout_ms()));
  complete_if_all_joined(now, out);
}

/// Does nothing outside of PreparingRebalance, and during the initial delay.
void ClassicGroup::complete_if_all_joined(Now now, Outbox& out) {
  if (state_ != GroupState::kPreparingRebalance || is_first_) return;
  if (all_joined()) complete_join(now, out);
}

void ClassicGroup::join_timer_fired(Now now, Outbox& out) {
  CHECK(state_ == GroupState::kPreparingRebalance);
  if (!is_first_ || !joined_lately_ || delay_more_ == common::Duration{}) {
    return complete_join(now, out);
  }
  const common::Duration passed = delay_;
  joined_lately_ = false;
  delay_ = std::min<common::Duration>(
      milliseconds(shared_.settings.group_initial_rebalance_delay_ms), delay_more_);
  delay_more_ = std::max(delay_more_ - passed, common::Duration{});
  join_timer_.set(now.instant + delay_);
}

void ClassicGroup::complete_join(Now now, Outbox& out) {
  CHECK(state_ == GroupState::kPreparingRebalance);
  join_timer_.clear();
  for (const std::string& id : members_.ids()) {
    const ClassicMember& member = *members_.find(id);
    if (!member.join.has_value() && !member.instance.has_value()) remove_member(id, out);
  }
  if (!members_.empty() && !elect_leader_among_joined()) {
    // Only static members are left and none came: until they expire, another try.
    is_first_ = false;
    join_timer_.set(now.instant +
                    std::max(milliseconds(members_.rebalance_timeout_ms()), kRetryMin));
    return;
  }
  begin_generation(now, out);
}

/// False: nobody joined.
bool ClassicGroup::elect_leader_among_joined() {
  const ClassicMember* leader = members_.find(members_.leader());
  if (leader != nullptr && leader->join.has_value()) return true;
  for (const auto& [id, member] : members_) {
    if (!member.join.has_value()) continue;
    members_.lead(id);
    return true;
  }
  return false;
}

void ClassicGroup::begin_generation(Now now, Outbox& out) {
  const bool is_last = generation_.value() == std::numeric_limits<std::int32_t>::max();
  generation_ = is_last ? Epoch{1} : generation_ + 1;
  is_first_ = false;
  if (members_.empty()) {
    protocol_.reset();
    read_subscriptions();
    state_ = GroupState::kEmpty;
    emptied_ = now.wall;
    store(to_store(now), out);
    return;
  }
  protocol_ = members_.elect_protocol();
  read_subscriptions();
  state_ = GroupState::kCompletingRebalance;
  for (auto& [id, member] : members_) {
    if (const auto join = members_.take_join(member)) out.answer(*join, current(member));
    member.is_new = false;
    members_.set_owes_sync(member, true);
    keep_session(member, now);
  }
  CHECK(members_.joining() == 0);
  CHECK(members_.owing_sync() == members_.size());
  sync_timer_.set(now.instant + milliseconds(members_.rebalance_timeout_ms()));
}

// ---- Assigning.

SyncOutcome ClassicGroup::assigned(const common::Bytes& assignment) const {
  return {.status = {},
          .protocol_type = protocol_type_,
          .protocol = protocol_,
          .assignment = assignment};
}

void ClassicGroup::sync(Ticket ticket, const SyncGroup& request, Now now, Outbox& out) {
  const auto refuse = [&](ErrorCode code) {
    out.answer(ticket, SyncOutcome{.status = {.code = code}});
  };
  const Status status = check_member(request.member, request.instance);
  if (!status.ok()) return refuse(status.code);
  if (request.generation != generation_) return refuse(ErrorCode::kIllegalGeneration);
  if ((request.protocol_type.has_value() && request.protocol_type != protocol_type_) ||
      (request.protocol.has_value() && request.protocol != protocol_)) {
    return refuse(ErrorCode::kInconsistentGroupProtocol);
  }
  if (state_ == GroupState::kPreparingRebalance) return refuse(ErrorCode::kRebalanceInProgress);
  ClassicMember* member = members_.find(request.member);
  CHECK(member != nullptr);
  CHECK(state_ != GroupState::kEmpty);
  synced(*member);
  keep_session(*member, now);
  if (state_ == GroupState::kStable) return out.answer(ticket, assigned(member->assignment));
  // The client gave up on its earlier sync.
  if (const auto earlier = members_.take_sync(*member)) {
    out.answer(*earlier, SyncOutcome{.status = {.code = ErrorCode::kRebalanceInProgress}});
  }
  members_.wait_for_sync(*member, ticket);
  if (members_.leader() == member->id) store_assignments(request, now, out);
}

void ClassicGroup::synced(ClassicMember& member) {
  members_.set_owes_sync(member, false);
  if (members_.owing_sync() == 0) sync_timer_.clear();
}

/// What the leader does not name gets nothing; whom it names in vain is left out.
void ClassicGroup::store_assignments(const SyncGroup& request, Now now, Outbox& out) {
  CHECK(state_ == GroupState::kCompletingRebalance);
  std::unordered_map<std::string_view, const common::Bytes*> given;
  for (const SyncGroup::Assignment& one : request.assignments) {
    given.insert_or_assign(one.member, &one.assignment);
  }
  ClassicGroupRecord::Value value = to_store(now);
  for (ClassicGroupRecord::Member& stored : value.members) {
    const auto at = given.find(stored.member);
    stored.assignment =
        at == given.end() ? common::Bytes() : common::Bytes::copy_of(at->second->view());
    ClassicMember* member = members_.find(stored.member);
    CHECK(member != nullptr);
    if (const auto sync = members_.take_sync(*member)) {
      out.answer(*sync, assigned(stored.assignment));
      keep_session(*member, now);
    }
  }
  store(std::move(value), out);
}

/// The generation ends without an assignment.
void ClassicGroup::fail_syncs(ErrorCode code, Now now, Outbox& out) {
  for (auto& [id, member] : members_) {
    member.assignment = common::Bytes();
    if (const auto sync = members_.take_sync(member)) {
      out.answer(*sync, SyncOutcome{.status = {.code = code}});
      keep_session(member, now);
    }
  }
}

void ClassicGroup::sync_timer_fired(Now now, Outbox& out) {
  CHECK(state_ == GroupState::kCompletingRebalance || state_ == GroupState::kStable);
  CHECK(members_.owing_sync() > 0);
  for (const std::string& id : members_.ids()) {
    if (members_.find(id)->owes_sync) remove_member(id, out);
  }
  rebalance(now, out);
}

// ---- Going.

void ClassicGroup::remove_member(const std::string& id, Outbox& out) {
  ClassicMember* member = members_.find(id);
  CHECK(member != nullptr, "no member {}", id);
  if (const auto join = members_.take_join(*member)) {
    out.answer(*join, JoinOutcome{.status = {.code = ErrorCode::kUnknownMemberId}});
  }
  if (const auto sync = members_.take_sync(*member)) {
    out.answer(*sync, SyncOutcome{.status = {.code = ErrorCode::kUnknownMemberId}});
  }
  members_.remove(id);
}

void ClassicGroup::after_removal(Now now, Outbox& out) {
  CHECK(state_ != GroupState::kEmpty, "{} had no members to remove", name_);
  rebalance_or_complete(now, out);
}

void ClassicGroup::session_fired(const std::string& id, Now now, Outbox& out) {
  ClassicMember* member = members_.find(id);
  CHECK(member != nullptr, "a timer of {}, who is not a member", id);
  // Who waits for an answer of ours shows no other sign of life; the answer begins a new session.
  const bool waits = member->join.has_value() || member->sync.has_value();
  if (!member->is_new && waits) return;
  remove_member(id, out);
  after_removal(now, out);
}

}  // namespace millrace::coordinator
