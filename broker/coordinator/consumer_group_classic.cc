// Members of the classic protocol in a consumer group: a generation is the member's epoch, nobody
// leads, joins and syncs are answered at once, and a member is sent into a new round (join, sync)
// whenever the consumer protocol would have told it something in a heartbeat.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/coordinator/consumer_group_draft.h"
#include "broker/coordinator/consumer_protocol.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

std::chrono::milliseconds ms(std::int32_t count) {
  return std::chrono::milliseconds(count);
}

// What it held when it joined. Clients that do not say (version 0) give up everything first.
PartitionList owned_of(const Subscription& subscription, const Topics& topics) {
  PartitionList owned;
  for (const NamedPartitions& named : subscription.owned) {
    const auto topic = topics.by_name.find(named.topic);
    if (topic == topics.by_name.end()) continue;
    for (const std::int32_t partition : named.partitions)
      owned.push_back({topic->second.id, model::PartitionIndex{partition}});
  }
  std::sort(owned.begin(), owned.end());
  owned.erase(std::unique(owned.begin(), owned.end()), owned.end());
  return owned;
}

JoinOutcome refused_join(Status status, const JoinGroup& request) {
  CHECK(!status.ok());
  JoinOutcome outcome;
  outcome.status = std::move(status);
  outcome.member = request.member;
  return outcome;
}

}  // namespace

Status ConsumerGroup::check_join(const JoinGroup& request) const {
  const Settings& settings = shared_.settings;
  if (request.session_timeout_ms < settings.group_min_session_timeout_ms ||
      request.session_timeout_ms > settings.group_max_session_timeout_ms)
    return {ErrorCode::kInvalidSessionTimeout, ""};
  const Status inconsistent{
      ErrorCode::kInconsistentGroupProtocol,
      fmt::format("Member {}'s protocols are not supported.", request.member)};
  if (request.protocol_type != kConsumerProtocolType || request.protocols.empty())
    return inconsistent;
  if (classic_members_ == 0) return {};
  // One protocol has to be known to all classic members: they may be alone again one day.
  for (const Protocol& protocol : request.protocols) {
    const bool all = std::all_of(members_.begin(), members_.end(), [&](const auto& other) {
      if (!other.second.is_classic() || other.first == request.member) return true;
      const auto& theirs = other.second.about.classic->protocols;
      return std::any_of(theirs.begin(), theirs.end(),
                         [&](const Protocol& one) { return one.name == protocol.name; });
    });
    if (all) return {};
  }
  return inconsistent;
}

void ConsumerGroup::join(Ticket ticket, const JoinGroup& request, Now now, Outbox& out) {
  if (Status bad = check_join(request); !bad.ok())
    return out.answer(ticket, refused_join(std::move(bad), request));
  const bool unknown = request.member.empty();
  const std::string name = unknown ? request.fresh_member : request.member;
  CHECK(!name.empty(), "a new member without an id");
  if (unknown && !request.instance && request.member_id_required) {
    JoinOutcome outcome = refused_join({ErrorCode::kMemberIdRequired, ""}, request);
    outcome.member = name;
    return out.answer(ticket, std::move(outcome));
  }
  const common::Result<Subscription> subscription =
      decode_subscription(request.protocols.front().metadata);
  if (!subscription.ok()) {
    return out.answer(
        ticket, refused_join({ErrorCode::kInconsistentGroupProtocol, subscription.error().detail},
                             request));
  }
  common::Result<Draft> drafted =
      request.instance ? draft_static(name, *request.instance, unknown, true) : draft_dynamic(name);
  if (!drafted.ok()) {
    return out.answer(ticket,
                      refused_join({drafted.error().code, drafted.error().detail}, request));
  }
  Draft& draft = *drafted;
  if (!draft.replaced.empty() && can_downgrade({draft.replaced})) {
    // The last member of the consumer protocol comes back as a classic one: the group is classic
    // before it joins.
    remove({draft.replaced}, now, out.records);
    out.joins_again.emplace_back(ticket, request);
    return;
  }
  const PartitionList owned = owned_of(*subscription, *shared_.topics);
  if (!may_own(draft, owned)) {
    // It was removed and does not know it: it would go on using partitions that are others' now.
    // Kafka lets it in and tells it later; this way it gives them up first.
    return out.answer(ticket, refused_join({ErrorCode::kUnknownMemberId,
                                            "The member claims partitions that it does not hold."},
                                           request));
  }
  About about = draft.about;
  if (request.instance) about.instance = request.instance;
  if (subscription->rack) about.rack = subscription->rack;
  if (request.rebalance_timeout_ms >= 0) about.rebalance_timeout_ms = request.rebalance_timeout_ms;
  about.topics = subscription->topics;
  about.topic_regex.clear();
  about.client = request.client;
  about.classic =
      ConsumerMemberRecord::ClassicMember{request.session_timeout_ms, request.protocols};
  draft.wall = now.wall;
  change(draft, std::move(about));
  refresh(draft);
  aim(draft, now);
  if (Status bad = step(draft, owned); !bad.ok())
    return out.answer(ticket, refused_join(std::move(bad), request));
  const auto at = members_.find(name);
  if (at != members_.end()) {
    at->second.join.clear();
    keep_session(at->second, now);
    arm(at->second.sync, name, TimerKind::kSync, now.instant + ms(request.rebalance_timeout_ms));
  } else {
    to_sync_.push_back(name);
  }
  std::move(draft.records.begin(), draft.records.end(), std::back_inserter(out.records));
  out.answer(ticket, joined(draft, request));
}

bool ConsumerGroup::may_own(const Draft& draft, const PartitionList& owned) const {
  if (draft.before == nullptr) return owned.empty();
  return std::all_of(owned.begin(), owned.end(), [&](const model::PartitionKey& key) {
    const Holders::Token holder = holders_.of(key);
    return holder == Holders::kNobody || holder == draft.token();
  });
}

JoinOutcome ConsumerGroup::joined(const Draft& draft, const JoinGroup& request) const {
  JoinOutcome outcome;
  outcome.generation = draft.standing.epoch;
  outcome.protocol_type = std::string(kConsumerProtocolType);
  outcome.protocol = request.protocols.front().name;
  outcome.member = draft.name;
  return outcome;
}

Status ConsumerGroup::check_classic(const std::string& name,
                                    const std::optional<std::string>& instance,
                                    Epoch generation) const {
  if (instance) {
    const auto place = statics_.find(*instance);
    if (place == statics_.end())
      return {ErrorCode::kUnknownMemberId, fmt::format("Instance id {} is unknown.", *instance)};
    if (place->second != name)
      return {ErrorCode::kFencedInstanceId,
              fmt::format("Static member {} with instance id {} was fenced by member {}.", name,
                          *instance, place->second)};
  }
  const auto at = members_.find(name);
  if (at == members_.end())
    return {ErrorCode::kUnknownMemberId,
            fmt::format("Member {} is not a member of group {}.", name, name_)};
  if (!at->second.is_classic())
    return {ErrorCode::kUnknownMemberId,
            fmt::format("Member {} does not use the classic protocol.", name)};
  if (at->second.standing.epoch != generation)
    return {ErrorCode::kIllegalGeneration,
            fmt::format("The request generation id {} is not equal to the member epoch {} of "
                        "member {}.",
                        generation, at->second.standing.epoch, name)};
  return {};
}

Status ConsumerGroup::must_rejoin(Member& one, const std::string& name, Now now) {
  if (!one.join.deadline()) {
    arm(one.join, name, TimerKind::kJoin, now.instant + ms(one.about.rebalance_timeout_ms));
  }
  return {ErrorCode::kRebalanceInProgress,
          fmt::format("A new rebalance is triggered in group {} and member {} should rejoin to "
                      "catch up.",
                      name_, name)};
}

void ConsumerGroup::sync(Ticket ticket, const SyncGroup& request, Now now, Outbox& out) {
  Status status = check_classic(request.member, request.instance, request.generation);
  if (!status.ok()) return out.answer(ticket, SyncOutcome{.status = std::move(status)});
  Member& one = members_.find(request.member)->second;
  const std::vector<Protocol>& protocols = one.about.classic->protocols;
  const std::string protocol = protocols.empty() ? "" : protocols.front().name;
  if (request.protocol_type.value_or(std::string(kConsumerProtocolType)) != kConsumerProtocolType ||
      request.protocol.value_or(protocol) != protocol) {
    return out.answer(ticket, SyncOutcome{.status = {ErrorCode::kInconsistentGroupProtocol, ""}});
  }
  keep_session(one, now);
  one.sync.clear();
  // Who has something to give up must learn it first.
  if (epoch_ > one.standing.epoch && one.standing.state != MemberState::kUnrevokedPartitions) {
    return out.answer(ticket, SyncOutcome{.status = must_rejoin(one, request.member, now)});
  }
  Assignment assignment;
  if (!protocols.empty()) {
    const auto subscription = decode_subscription(protocols.front().metadata);
    if (subscription.ok())
      assignment.version = std::min(subscription->version, Assignment::kNewest);
  }
  assignment.partitions = named(one.standing.assigned);
  out.answer(ticket, SyncOutcome{.protocol_type = std::string(kConsumerProtocolType),
                                 .protocol = protocol,
                                 .assignment = encode(assignment)});
}

std::vector<NamedPartitions> ConsumerGroup::named(const Holding& holding) const {
  std::vector<NamedPartitions> result;
  for (const TopicPartitions& topic : by_topic(keys_of(holding))) {
    // Classic members know topics by name; what was deleted has none.
    const auto name = shared_.topics->names.find(topic.topic);
    if (name != shared_.topics->names.end()) result.push_back({name->second, topic.partitions});
  }
  return result;
}

void ConsumerGroup::heartbeat(Ticket ticket, const Heartbeat& request, Now now, Outbox& out) {
  Status status = check_classic(request.member, request.instance, request.generation);
  if (!status.ok()) return out.answer(ticket, std::move(status));
  Member& one = members_.find(request.member)->second;
  keep_session(one, now);
  if (classic_members_ == members_.size() && can_downgrade({})) {
    // Members of the consumer protocol that left together, or a policy that was changed.
    downgrade({}, now, out.records);
    return out.answer(ticket, Status{ErrorCode::kRebalanceInProgress, ""});
  }
  // Members of the consumer protocol notice changed topics at their heartbeats; so do these.
  if (look_again_) {
    common::Result<Draft> drafted = draft_dynamic(request.member);
    CHECK(drafted.ok(), "{} is a member", request.member);
    drafted->wall = now.wall;
    refresh(*drafted);
    if (!drafted->records.empty()) {
      out.records = std::move(drafted->records);
      return out.answer(ticket, must_rejoin(one, request.member, now));
    }
  }
  const Standing& standing = one.standing;
  bool rejoin = standing.epoch < epoch_ || standing.state == MemberState::kUnrevokedPartitions;
  if (!rejoin && standing.state == MemberState::kUnreleasedPartitions) {
    const auto target = targets_.find(request.member);
    rejoin = target == targets_.end() ||
             !waits_for_others(standing, target->second, one.token, holders_);
  }
  out.answer(ticket, rejoin ? must_rejoin(one, request.member, now) : Status{});
}

Status ConsumerGroup::find_leaving(const LeaveGroup::Member& leaving, std::string& name) const {
  name = leaving.member;
  if (leaving.instance) {
    const auto place = statics_.find(*leaving.instance);
    if (place == statics_.end()) return {ErrorCode::kUnknownMemberId, ""};
    // An admin names only the instance.
    if (!leaving.member.empty() && place->second != leaving.member)
      return {ErrorCode::kFencedInstanceId, ""};
    name = place->second;
  }
  const auto at = members_.find(name);
  if (at == members_.end()) return {ErrorCode::kUnknownMemberId, ""};
  // Members of the consumer protocol leave by heartbeat; an admin may remove static ones.
  if (!at->second.is_classic() && !leaving.instance) return {ErrorCode::kUnknownMemberId, ""};
  return {};
}

void ConsumerGroup::leave(Ticket ticket, const LeaveGroup& request, Now now, Outbox& out) {
  LeaveOutcome outcome;
  std::vector<std::string> leaving;
  for (const LeaveGroup::Member& one : request.members) {
    std::string name;
    Status status = find_leaving(one, name);
    if (status.ok()) {
      if (std::find(leaving.begin(), leaving.end(), name) != leaving.end()) {
        status.code = ErrorCode::kUnknownMemberId;  // named twice
      } else {
        leaving.push_back(name);
      }
    }
    outcome.members.push_back(std::move(status));
  }
  if (!leaving.empty()) remove(leaving, now, out.records);
  out.answer(ticket, std::move(outcome));
}

}  // namespace millrace::coordinator
