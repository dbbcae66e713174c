// Time, and what offsets may be committed.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/coordinator/consumer_group_draft.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

// A removal that the log refused is tried again after this long.
constexpr std::chrono::milliseconds kAgain{1'000};

std::chrono::milliseconds ms(std::int32_t count) {
  return std::chrono::milliseconds(std::max(count, 0));
}

}  // namespace

void ConsumerGroup::arm(Timer& timer, const std::string& name, TimerKind kind,
                        common::Instant deadline) {
  // Most members never need most of their timers, so each is made when it is first set.
  if (!timer.deadline())
    timer = Timer(shared_.timers, {.group = name_, .member = name, .kind = kind});
  timer.set(deadline);
}

void ConsumerGroup::keep_session(Member& one, Now now) {
  one.last_heard = now.instant;
  if (!one.session.deadline()) return;  // settle() begins it
  const std::int32_t timeout = one.is_classic() ? one.about.classic->session_timeout_ms
                                                : shared_.settings.consumer_session_timeout_ms;
  one.session.set(now.instant + ms(timeout));
}

void ConsumerGroup::settle(Now now, Outbox&) {
  // No batch of ours leaves it otherwise, but a log that lost some may.
  epoch_ = std::max(epoch_, target_epoch_);
  if (!members_.empty()) {
    emptied_ = common::Timestamp{-1};
  } else if (emptied_.value() < 0) {
    emptied_ = now.wall;
  }
  for (const std::string& name : std::exchange(touched_, {})) {
    const auto at = members_.find(name);
    CHECK(at != members_.end(), "{} is not a member any more", name);
    Member& one = at->second;
    const std::int32_t timeout = one.is_classic() ? one.about.classic->session_timeout_ms
                                                  : shared_.settings.consumer_session_timeout_ms;
    if (!one.session.deadline()) {
      one.last_heard = now.instant;
      arm(one.session, name, TimerKind::kSession, now.instant + ms(timeout));
    }
    const bool revokes =
        !one.is_classic() && one.standing.state == MemberState::kUnrevokedPartitions;
    if (!revokes) {
      one.rebalance.clear();
    } else {
      arm(one.rebalance, name, TimerKind::kRebalance,
          now.instant + ms(one.about.rebalance_timeout_ms));
    }
    if (!one.is_classic()) {
      one.join.clear();
      one.sync.clear();
    }
  }
  for (const std::string& name : std::exchange(to_sync_, {})) {
    const auto at = members_.find(name);
    if (at == members_.end() || !at->second.is_classic()) continue;
    arm(at->second.sync, name, TimerKind::kSync,
        now.instant + ms(at->second.about.rebalance_timeout_ms));
  }
}

void ConsumerGroup::expired(const TimerTarget& target, Now now, Outbox& out) {
  CHECK(target.group == name_, "a timer of {} fired in {}", target.group, name_);
  if (target.kind == TimerKind::kAssign) {
    if (epoch_ > target_epoch_ && !members_.empty()) assign(nullptr, epoch_, now, out.records);
    return;
  }
  const auto at = members_.find(target.member);
  if (at == members_.end()) return;
  Member& one = at->second;
  switch (target.kind) {
    case TimerKind::kRebalance:
      if (one.standing.state != MemberState::kUnrevokedPartitions) return;
      arm(one.rebalance, target.member, target.kind, now.instant + kAgain);
      break;
    case TimerKind::kJoin:
      if (!one.is_classic()) return;
      arm(one.join, target.member, target.kind, now.instant + kAgain);
      break;
    case TimerKind::kSync:
      if (!one.is_classic()) return;
      arm(one.sync, target.member, target.kind, now.instant + kAgain);
      break;
    default:
      arm(one.session, target.member, TimerKind::kSession, now.instant + kAgain);
      break;
  }
  // All that are silent at this moment go in one step: one epoch, and not a downgrade per member.
  std::vector<std::string> gone{target.member};
  for (auto& [name, other] : members_) {
    const auto deadline = other.session.deadline();
    if (name == target.member || !deadline || *deadline > now.instant) continue;
    other.session.set(now.instant + kAgain);
    gone.push_back(name);
  }
  remove(gone, now, out.records);
}

void ConsumerGroup::topics_changed(Now, Outbox&) {
  look_again_ = true;
}

Status ConsumerGroup::check_commit(const OffsetCommit& request, Now now) {
  // Neither admins nor consumers that assign themselves have a place in a group that lives.
  if (request.epoch < Epoch{0} && members_.empty()) return {};
  const auto at = members_.find(request.member);
  if (at == members_.end()) {
    return {ErrorCode::kUnknownMemberId,
            fmt::format("Member {} is not a member of group {}.", request.member, name_)};
  }
  Member& one = at->second;
  if (request.instance && one.about.instance && *request.instance != *one.about.instance)
    return {ErrorCode::kFencedInstanceId, ""};
  if (!one.is_classic() && !request.member_epochs_known) {
    return {ErrorCode::kUnsupportedVersion,
            "OffsetCommit version 9 or above must be used by members using the modern group "
            "protocol"};
  }
  const Epoch known = one.standing.epoch;
  if (request.epoch == known) {
    if (one.is_classic()) keep_session(one, now);
    return {};
  }
  const Status stale{
      one.is_classic() ? ErrorCode::kIllegalGeneration : ErrorCode::kStaleMemberEpoch,
      fmt::format("The received member epoch {} does not match the expected member epoch {}.",
                  request.epoch, known)};
  if (request.epoch > known) return stale;
  // An older epoch will do for what the member has held since then (KIP-1251): it may not have
  // heard of its newer epoch yet, and nobody else can have moved those offsets.
  for (const OffsetCommit::Partition& partition : request.partitions) {
    model::TopicId id = partition.topic.id;
    if (id.is_zero()) {
      const auto topic = shared_.topics->by_name.find(partition.topic.name);
      if (topic == shared_.topics->by_name.end()) return stale;
      id = topic->second.id;
    }
    const model::PartitionKey key{id, model::PartitionIndex{partition.partition}};
    const Held* held = find(one.standing.assigned, key);
    if (held == nullptr) held = find(one.standing.pending, key);
    if (held == nullptr || held->epoch > request.epoch) return stale;
  }
  return {};
}

Status ConsumerGroup::check_fetch(const OffsetFetch& request) const {
  const bool anonymous = !request.member || request.member->empty();
  if (anonymous && request.epoch < Epoch{0}) return {};
  const auto at = members_.find(request.member.value_or(""));
  if (at == members_.end()) {
    return {ErrorCode::kUnknownMemberId, fmt::format("Member {} is not a member of group {}.",
                                                     request.member.value_or(""), name_)};
  }
  const Member& one = at->second;
  if (request.epoch == one.standing.epoch) return {};
  return {one.is_classic() ? ErrorCode::kIllegalGeneration : ErrorCode::kStaleMemberEpoch,
          fmt::format("The received member epoch {} does not match the expected member epoch {}.",
                      request.epoch, one.standing.epoch)};
}

}  // namespace millrace::coordinator
