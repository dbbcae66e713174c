// JoinGroup: who may come in, under which id, and what the group makes of it.
#include <algorithm>
#include <chrono>
#include <utility>

#include "broker/coordinator/classic_group.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

/// A member without an id cannot send heartbeats, and its client repeats the join when it gives up
/// on it: that must not fill the group with the dead (Kafka's bound).
constexpr std::chrono::minutes kNewMemberJoinTimeout{5};

JoinOutcome refusal(ErrorCode code, std::string member = {}) {
  return {.status = {.code = code}, .member = std::move(member)};
}

/// Copies, so that a member of a few bytes does not keep the whole request in memory.
std::vector<Protocol> own_copy(const std::vector<Protocol>& protocols) {
  std::vector<Protocol> copies;
  copies.reserve(protocols.size());
  for (const Protocol& protocol : protocols) {
    copies.push_back(
        {.name = protocol.name, .metadata = common::Bytes::copy_of(protocol.metadata.view())});
  }
  return copies;
}

bool same(const std::vector<Protocol>& a, const std::vector<Protocol>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name) return false;
    if (!(a[i].metadata == b[i].metadata)) return false;
  }
  return true;
}

}  // namespace

void ClassicGroup::join(Ticket ticket, const JoinGroup& request, Now now, Outbox& out) {
  if (!accepts(request.member)) return turn_away(ticket, request, now, out);
  if (!supports(request)) {
    return out.answer(ticket, refusal(ErrorCode::kInconsistentGroupProtocol, request.member));
  }
  if (request.member.empty()) return join_new(ticket, request, now, out);
  join_known(ticket, request, now, out);
}

/// Everybody may join an Empty group. A full one takes its own members, and while it counts anew
/// who is there, the first that come.
bool ClassicGroup::accepts(const std::string& member) const {
  const auto size_max = static_cast<std::size_t>(shared_.settings.group_max_size);
  const ClassicMember* known = members_.find(member);
  switch (state_) {
    case GroupState::kPreparingRebalance:
      return (known != nullptr && known->join.has_value()) || members_.joining() < size_max;
    case GroupState::kCompletingRebalance:
    case GroupState::kStable:
      return known != nullptr || members_.size() < size_max;
    default:
      return true;
  }
}

void ClassicGroup::turn_away(Ticket ticket, const JoinGroup& request, Now now, Outbox& out) {
  pending_.erase(request.member);
  if (members_.find(request.member) != nullptr) remove_member(request.member, out);
  out.answer(ticket, refusal(ErrorCode::kGroupMaxSizeReached));
  complete_if_all_joined(now, out);
}

bool ClassicGroup::supports(const JoinGroup& request) const {
  if (request.protocol_type.empty() || request.protocols.empty()) return false;
  if (state_ == GroupState::kEmpty) return true;
  return request.protocol_type == protocol_type_ && members_.supports_any(request.protocols);
}

void ClassicGroup::join_new(Ticket ticket, const JoinGroup& request, Now now, Outbox& out) {
  const std::string& id = request.fresh_member;
  CHECK(!id.empty(), "a new member of {} needs an id", name_);
  CHECK(members_.find(id) == nullptr, "{} is not a fresh id", id);
  if (request.instance.has_value()) {
    ClassicMember* holder = members_.find_instance(*request.instance);
    if (holder != nullptr) return replace_static(ticket, *holder, request, now, out);
  } else if (request.member_id_required) {
    Timer timer = member_timer(id, TimerKind::kPending);
    timer.set(now.instant + std::chrono::milliseconds(request.session_timeout_ms));
    pending_.insert_or_assign(id, std::move(timer));
    return out.answer(ticket, refusal(ErrorCode::kMemberIdRequired, id));
  }
  add_member(ticket, id, request, now, out);
}

void ClassicGroup::join_known(Ticket ticket, const JoinGroup& request, Now now, Outbox& out) {
  if (pending_.count(request.member) > 0 && !request.instance.has_value()) {
    return add_member(ticket, request.member, request, now, out);
  }
  const Status status = check_member(request.member, request.instance);
  if (!status.ok()) return out.answer(ticket, refusal(status.code, request.member));
  ClassicMember* member = members_.find(request.member);
  CHECK(member != nullptr);
  CHECK(state_ != GroupState::kEmpty);
  const bool is_same = same(member->protocols, request.protocols);
  // Asked again by a member that missed the answer. The leader of a Stable group joins because it
  // wants to assign anew, for example when a topic grew.
  const bool knows_enough =
      (state_ == GroupState::kCompletingRebalance && is_same) ||
      (state_ == GroupState::kStable && is_same && members_.leader() != member->id);
  if (knows_enough) {
    keep_session(*member, now);
    return out.answer(ticket, current(*member));
  }
  update_member(*member, request);
  wait_for_others(ticket, *member, out);
  rebalance_or_complete(now, out);
}

void ClassicGroup::add_member(Ticket ticket, const std::string& id, const JoinGroup& request,
                              Now now, Outbox& out) {
  pending_.erase(id);
  if (members_.empty()) protocol_type_ = request.protocol_type;
  if (state_ == GroupState::kPreparingRebalance && is_first_) joined_lately_ = true;
  ClassicMember newcomer;
  newcomer.id = id;
  newcomer.instance = request.instance;
  newcomer.is_new = true;
  newcomer.session = member_timer(id, TimerKind::kSession);
  newcomer.session.set(now.instant + kNewMemberJoinTimeout);
  newcomer.last_heard = now.instant;
  ClassicMember& member = members_.add(std::move(newcomer));
  update_member(member, request);
  wait_for_others(ticket, member, out);
  rebalance_or_complete(now, out);
}

void ClassicGroup::update_member(ClassicMember& member, const JoinGroup& request) {
  members_.set_protocols(member, own_copy(request.protocols));
  member.client = request.client;
  member.rebalance_timeout_ms = std::max(0, request.rebalance_timeout_ms);
  member.session_timeout_ms = request.session_timeout_ms;
}

void ClassicGroup::wait_for_others(Ticket ticket, ClassicMember& member, Outbox& out) {
  // The client gave up on its earlier join, most often with its connection.
  if (const auto earlier = members_.take_join(member)) {
    out.answer(*earlier, refusal(ErrorCode::kRebalanceInProgress, member.id));
  }
  members_.wait_for_join(member, ticket);
}

/// A static member comes back without knowing its id: it gets a new one, and the old one is fenced.
void ClassicGroup::replace_static(Ticket ticket, ClassicMember& holder, const JoinGroup& request,
                                  Now now, Outbox& out) {
  const std::string old_leader = members_.leader();
  if (const auto join = members_.take_join(holder)) {
    out.answer(*join, refusal(ErrorCode::kFencedInstanceId, holder.id));
  }
  if (const auto sync = members_.take_sync(holder)) {
    out.answer(*sync, SyncOutcome{.status = {.code = ErrorCode::kFencedInstanceId}});
  }
  Replaced old{.instance = *request.instance,
               .id = holder.id,
               .client = holder.client,
               .protocols = holder.protocols,
               .rebalance_timeout_ms = holder.rebalance_timeout_ms,
               .session_timeout_ms = holder.session_timeout_ms};
  ClassicMember& member = members_.rename(*request.instance, request.fresh_member);
  update_member(member, request);
  member.session = member_timer(member.id, TimerKind::kSession);
  keep_session(member, now);
  if (state_ == GroupState::kStable && protocol_ == members_.elect_protocol()) {
    replaced_ = std::move(old);
    return take_place(ticket, member, request, old_leader, now, out);
  }
  // In CompletingRebalance the leader may be assigning to the old id: all have to join again.
  members_.wait_for_join(member, ticket);
  rebalance_or_complete(now, out);
}

/// The new id of a static member in a Stable group: stored, and only then told.
void ClassicGroup::take_place(Ticket ticket, const ClassicMember& member, const JoinGroup& request,
                              const std::string& old_leader, Now now, Outbox& out) {
  CHECK(state_ == GroupState::kStable);
  store(to_store(now), out);
  JoinOutcome outcome = current(member);
  if (request.skip_assignment_known) {
    outcome.skip_assignment = members_.leader() == member.id;
  } else {
    // A client that cannot skip the assignment must not take itself for the leader.
    outcome.members.clear();
    outcome.leader = old_leader;
  }
  out.answer(ticket, std::move(outcome));
}

JoinOutcome ClassicGroup::current(const ClassicMember& member) const {
  JoinOutcome outcome;
  outcome.generation = generation_;
  outcome.protocol_type = protocol_type_;
  outcome.protocol = protocol_;
  outcome.leader = members_.leader();
  outcome.member = member.id;
  if (members_.leader() == member.id) outcome.members = member_list();
  return outcome;
}

std::vector<JoinOutcome::Member> ClassicGroup::member_list() const {
  CHECK(protocol_.has_value());
  std::vector<JoinOutcome::Member> list;
  list.reserve(members_.size());
  for (const auto& [id, member] : members_) {
    const Protocol* chosen = member.protocol(*protocol_);
    CHECK(chosen != nullptr, "{} does not know {}", id, *protocol_);
    list.push_back({.member = id, .instance = member.instance, .metadata = chosen->metadata});
  }
  return list;
}

}  // namespace millrace::coordinator
