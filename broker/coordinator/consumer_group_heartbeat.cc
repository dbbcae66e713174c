// Heartbeats of the consumer protocol: joining, staying, leaving.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/coordinator/consumer_group_draft.h"
#include "broker/coordinator/topic_regex.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

ConsumerHeartbeatOutcome refused(const ConsumerHeartbeat& request, Status status) {
  CHECK(!status.ok());
  return {.status = std::move(status), .member = request.member, .epoch = request.epoch};
}

Status invalid(std::string detail) {
  return {ErrorCode::kInvalidRequest, std::move(detail)};
}

Status check_joining(const ConsumerHeartbeat& request) {
  if (request.rebalance_timeout_ms < 0)
    return invalid("RebalanceTimeoutMs must be provided in first request.");
  if (!request.owned || !request.owned->empty())
    return invalid("TopicPartitions must be empty when (re-)joining.");
  if (!request.topics && !request.topic_regex) {
    return invalid(
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
  }
  return {};
}

Status check_request(const ConsumerHeartbeat& request, const Settings& settings) {
  if (request.member.empty()) return invalid("MemberId can't be empty.");
  if (request.instance && request.instance->empty()) return invalid("InstanceId can't be empty.");
  if (request.rack && request.rack->empty()) return invalid("RackId can't be empty.");
  if (request.epoch < kLeftForAWhile)
    return invalid(fmt::format("MemberEpoch is invalid: {}.", request.epoch));
  if (request.epoch == kLeftForAWhile && !request.instance)
    return invalid("InstanceId can't be null.");
  if (request.epoch < kJoinEpoch) return {};
  if (request.epoch == kJoinEpoch) {
    if (Status bad = check_joining(request); !bad.ok()) return bad;
  }
  const auto& known = settings.consumer_assignors;
  if (request.assignor && std::find(known.begin(), known.end(), *request.assignor) == known.end()) {
    return {ErrorCode::kUnsupportedAssignor,
            fmt::format("ServerAssignor {} is not supported. Supported assignors: {}.",
                        *request.assignor, fmt::join(known, ", "))};
  }
  return {};
}

// All that a member says when it joins, or when it does not know whether the last answer was lost.
bool is_full(const ConsumerHeartbeat& request) {
  return request.rebalance_timeout_ms >= 0 && request.owned.has_value() &&
         (request.topics.has_value() || request.topic_regex.has_value());
}

}  // namespace

Status ConsumerGroup::check_epoch(const Member& one, const ConsumerHeartbeat& request) const {
  const Epoch known = one.standing.epoch;
  if (request.epoch == kJoinEpoch || request.epoch == known) return {};
  if (request.epoch > known) {
    return {ErrorCode::kFencedMemberEpoch,
            fmt::format("The consumer group member has a greater member epoch ({}) than the one "
                        "known by the group coordinator ({}). The member must abandon all its "
                        "partitions and rejoin.",
                        request.epoch, known)};
  }
  // The answer with the newer epoch may have been lost: fine, if the member uses nothing that it
  // must not.
  if (request.epoch == one.standing.previous_epoch && request.owned &&
      is_subset(flat(*request.owned), one.standing.assigned))
    return {};
  return {ErrorCode::kFencedMemberEpoch,
          fmt::format("The consumer group member has a smaller member epoch ({}) than the one "
                      "known by the group coordinator ({}). The member must abandon all its "
                      "partitions and rejoin.",
                      request.epoch, known)};
}

void ConsumerGroup::consumer_heartbeat(Ticket ticket, const ConsumerHeartbeat& request, Now now,
                                       Outbox& out) {
  if (Status bad = check_request(request, shared_.settings); !bad.ok())
    return out.answer(ticket, refused(request, std::move(bad)));
  if (request.epoch < kJoinEpoch) return leave_by_heartbeat(ticket, request, now, out);
  if (request.topic_regex && !request.topic_regex->empty() &&
      !regexes_.contains(*request.topic_regex)) {
    const auto parsed = TopicRegex::parse(*request.topic_regex);
    if (!parsed.ok()) {
      return out.answer(ticket, refused(request, {parsed.error().code, parsed.error().detail}));
    }
  }
  const bool joins = request.epoch == kJoinEpoch;
  const auto at = members_.find(request.member);
  if (at != members_.end()) {
    if (Status bad = check_epoch(at->second, request); !bad.ok())
      return out.answer(ticket, refused(request, std::move(bad)));
  } else if (!joins && !request.instance) {
    return out.answer(ticket,
                      refused(request, {ErrorCode::kUnknownMemberId,
                                        fmt::format("Member {} is not a member of group {}.",
                                                    request.member, name_)}));
  }
  if (at != members_.end() && is_quiet(at->second, request))
    return answer_quiet(ticket, at, request, now, out);

  common::Result<Draft> drafted =
      request.instance ? draft_static(request.member, *request.instance, joins, /*classic=*/false)
                       : draft_dynamic(request.member);
  if (!drafted.ok()) {
    return out.answer(ticket, refused(request, {drafted.error().code, drafted.error().detail}));
  }
  advance(ticket, *drafted, request, now, out);
}

// Nothing new from the member, nothing new for it: what nearly all heartbeats are.
bool ConsumerGroup::is_quiet(const Member& one, const ConsumerHeartbeat& request) const {
  return !look_again_ && epoch_ == target_epoch_ && reconciled(one) && !one.is_classic() &&
         request.epoch == one.standing.epoch && !request.topics && !request.topic_regex &&
         !request.assignor && !request.rack && request.rebalance_timeout_ms < 0 &&
         request.instance == one.about.instance && request.client == one.about.client;
}

void ConsumerGroup::answer_quiet(Ticket ticket, Members::iterator at,
                                 const ConsumerHeartbeat& request, Now now, Outbox& out) {
  CHECK(request.epoch == at->second.standing.epoch);
  keep_session(at->second, now);
  out.answer(ticket, ConsumerHeartbeatOutcome{
                         .member = request.member,
                         .epoch = at->second.standing.epoch,
                         .heartbeat_interval_ms = shared_.settings.consumer_heartbeat_interval_ms});
}

void ConsumerGroup::advance(Ticket ticket, Draft& draft, const ConsumerHeartbeat& request, Now now,
                            Outbox& out) {
  About about = draft.about;
  if (request.instance) about.instance = request.instance;
  if (request.rack) about.rack = request.rack;
  if (request.rebalance_timeout_ms >= 0) about.rebalance_timeout_ms = request.rebalance_timeout_ms;
  if (request.topics) about.topics = *request.topics;
  if (request.topic_regex) about.topic_regex = *request.topic_regex;
  if (request.assignor) about.assignor = request.assignor;
  about.client = request.client;
  about.classic.reset();
  draft.wall = now.wall;
  const Holding assigned_before = draft.standing.assigned;

  change(draft, std::move(about));
  refresh(draft);
  aim(draft, now);
  std::optional<PartitionList> owned;
  if (request.owned) owned = flat(*request.owned);
  if (Status bad = step(draft, owned); !bad.ok())
    return out.answer(ticket, refused(request, std::move(bad)));

  // A newcomer's session begins in settle(), when it is stored.
  const auto at = members_.find(draft.name);
  if (at != members_.end()) keep_session(at->second, now);
  ConsumerHeartbeatOutcome outcome{.member = draft.name, .epoch = draft.standing.epoch};
  // It may come back at once when an assignment waits, not a whole interval later.
  const std::int64_t interval = shared_.settings.consumer_heartbeat_interval_ms;
  outcome.heartbeat_interval_ms =
      static_cast<std::int32_t>(draft.delay_ms > 0 ? std::min(interval, draft.delay_ms) : interval);
  if (request.epoch == kJoinEpoch || is_full(request) ||
      !same_keys(draft.standing.assigned, assigned_before))
    outcome.assignment = by_topic(keys_of(draft.standing.assigned));
  std::move(draft.records.begin(), draft.records.end(), std::back_inserter(out.records));
  out.answer(ticket, std::move(outcome));
}

void ConsumerGroup::leave_by_heartbeat(Ticket ticket, const ConsumerHeartbeat& request, Now now,
                                       Outbox& out) {
  std::string name = request.member;
  if (request.instance) {
    const auto place = statics_.find(*request.instance);
    if (place == statics_.end()) {
      return out.answer(
          ticket, refused(request, {ErrorCode::kUnknownMemberId,
                                    fmt::format("Instance id {} is unknown.", *request.instance)}));
    }
    if (place->second != request.member) {
      return out.answer(
          ticket,
          refused(request, {ErrorCode::kFencedInstanceId,
                            fmt::format("Static member {} with instance id {} was fenced by "
                                        "member {}.",
                                        request.member, *request.instance, place->second)}));
    }
    name = place->second;
  }
  const auto at = members_.find(name);
  if (at == members_.end()) {
    return out.answer(ticket,
                      refused(request, {ErrorCode::kUnknownMemberId,
                                        fmt::format("Member {} is not a member of group {}.",
                                                    request.member, name_)}));
  }
  if (request.epoch == kLeftForAWhile) {
    // It keeps its partitions until its session ends: whoever comes with its instance gets them.
    Standing standing = at->second.standing;
    standing.previous_epoch = standing.epoch;
    standing.epoch = kLeftForAWhile;
    standing.state = MemberState::kStable;
    standing.pending.clear();
    out.records.push_back(current_record(name, standing));
  } else {
    remove({name}, now, out.records);
  }
  out.answer(ticket, ConsumerHeartbeatOutcome{.member = request.member, .epoch = request.epoch});
}

}  // namespace millrace::coordinator
