#include "broker/coordinator/consumer_group.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "broker/coordinator/consumer_protocol.h"
#include "common/check.h"

namespace millrace::coordinator {

ConsumerGroup::ConsumerGroup(std::string name, Shared& shared)
    : name_(std::move(name)),
      shared_(shared),
      assign_(shared.timers, {.group = name_, .kind = TimerKind::kAssign}) {}
ConsumerGroup::~ConsumerGroup() = default;

void ConsumerGroup::apply(const Record& record) {
  std::visit(
      [this](const auto& one) {
        using T = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<T, OffsetRecord> || std::is_same_v<T, ClassicGroupRecord>) {
          CHECK(false, "not a record of a consumer group");
        } else {
          CHECK(one.group == name_, "a record of {} for {}", one.group, name_);
          if constexpr (std::is_same_v<T, ConsumerGroupRecord>) apply_group(one);
          if constexpr (std::is_same_v<T, ConsumerMemberRecord>) apply_member(one);
          if constexpr (std::is_same_v<T, TargetEpochRecord>)
            target_epoch_ = one.value.value_or(Epoch{0});
          if constexpr (std::is_same_v<T, TargetRecord>) apply_target(one);
          if constexpr (std::is_same_v<T, CurrentRecord>) apply_current(one);
          if constexpr (std::is_same_v<T, RegexRecord>) apply_regex(one);
        }
      },
      record);
}

void ConsumerGroup::apply_group(const ConsumerGroupRecord& record) {
  if (!record.value) return;  // the machine throws the group away
  epoch_ = record.value->epoch;
  metadata_hash_ = record.value->metadata_hash;
}

ConsumerGroup::Member& ConsumerGroup::member(const std::string& name) {
  const auto [at, fresh] = members_.try_emplace(name);
  if (fresh) {
    at->second.token = ++tokens_made_;
    CHECK(at->second.token != Holders::kNobody, "tokens are used up");
    touched_.insert(name);
  }
  return at->second;
}

// What is counted per group is changed with every member that comes, goes or says something new.
void ConsumerGroup::count(const About& about, int by) {
  const auto add = [by](std::map<std::string, std::int32_t>& counts, const std::string& key) {
    const auto at = counts.try_emplace(key, 0).first;
    at->second += by;
    CHECK(at->second >= 0, "{} is counted {} times", key, at->second);
    if (at->second == 0) counts.erase(at);
  };
  for (const std::string& topic : about.topics) add(topic_readers_, topic);
  if (!about.topic_regex.empty()) add(regex_users_, about.topic_regex);
  if (about.assignor) add(assignor_votes_, *about.assignor);
  if (about.classic) classic_members_ += static_cast<std::size_t>(by);
  CHECK(classic_members_ <= members_.size());
}

void ConsumerGroup::give_up_instance(const std::string& name, const About& about) {
  if (!about.instance) return;
  // It may have passed on to another member already.
  const auto place = statics_.find(*about.instance);
  if (place != statics_.end() && place->second == name) statics_.erase(place);
}

void ConsumerGroup::apply_member(const ConsumerMemberRecord& record) {
  if (record.value) {
    Member& changed = member(record.member);
    count(changed.about, -1);
    if (changed.about.instance != record.value->instance)
      give_up_instance(record.member, changed.about);
    changed.about = *record.value;
    count(changed.about, 1);
    if (changed.about.instance) statics_[*changed.about.instance] = record.member;
    touched_.insert(record.member);
    return;
  }
  const auto at = members_.find(record.member);
  if (at == members_.end()) return;
  Member& gone = at->second;
  count(gone.about, -1);
  holders_.release(gone.token, gone.standing.assigned);
  holders_.release(gone.token, gone.standing.pending);
  give_up_instance(record.member, gone.about);
  touched_.erase(record.member);
  members_.erase(at);
}

void ConsumerGroup::apply_target(const TargetRecord& record) {
  if (record.value) {
    targets_[record.member] = flat(*record.value);
  } else {
    targets_.erase(record.member);
  }
}

void ConsumerGroup::apply_current(const CurrentRecord& record) {
  if (!record.value && !members_.contains(record.member)) return;
  Member& changed = member(record.member);
  holders_.release(changed.token, changed.standing.assigned);
  holders_.release(changed.token, changed.standing.pending);
  changed.standing = Standing{};
  if (record.value) {
    changed.standing.epoch = record.value->epoch;
    changed.standing.previous_epoch = record.value->previous_epoch;
    changed.standing.state = record.value->state;
    changed.standing.assigned = flat(record.value->assigned, record.value->epoch);
    changed.standing.pending = flat(record.value->pending_revocation, record.value->epoch);
  }
  holders_.take(changed.token, changed.standing.assigned);
  holders_.take(changed.token, changed.standing.pending);
  touched_.insert(record.member);
}

void ConsumerGroup::apply_regex(const RegexRecord& record) {
  if (record.value) {
    regexes_[record.regex] = *record.value;
  } else {
    regexes_.erase(record.regex);
  }
}

bool ConsumerGroup::empty() const {
  return members_.empty();
}

bool ConsumerGroup::subscribes(const std::string& topic) const {
  if (topic_readers_.contains(topic)) return true;
  return std::any_of(regexes_.begin(), regexes_.end(), [&](const auto& regex) {
    return std::binary_search(regex.second.topics.begin(), regex.second.topics.end(), topic);
  });
}

bool ConsumerGroup::reconciled(const Member& one) const {
  return one.standing.state == MemberState::kStable && one.standing.epoch == target_epoch_;
}

GroupState ConsumerGroup::state() const {
  if (members_.empty()) return GroupState::kEmpty;
  if (epoch_ > target_epoch_) return GroupState::kAssigning;
  const bool all = std::all_of(members_.begin(), members_.end(),
                               [this](const auto& one) { return reconciled(one.second); });
  return all ? GroupState::kStable : GroupState::kReconciling;
}

GroupDescription ConsumerGroup::describe() const {
  GroupDescription description;
  description.summary = {name_, std::string(kConsumerProtocolType), state(), GroupType::kConsumer};
  description.epoch = epoch_;
  description.assignment_epoch = target_epoch_;
  description.protocol = preferred_assignor(nullptr);
  for (const auto& [name, one] : members_) {
    GroupDescription::Member member;
    member.member = name;
    member.instance = one.about.instance;
    member.rack = one.about.rack;
    member.client = one.about.client;
    if (one.about.classic && !one.about.classic->protocols.empty())
      member.metadata = one.about.classic->protocols.front().metadata;
    member.epoch = one.standing.epoch;
    member.topics = one.about.topics;
    member.topic_regex = one.about.topic_regex;
    member.assignment = by_topic(keys_of(one.standing.assigned));
    const auto target = targets_.find(name);
    if (target != targets_.end()) member.target = by_topic(target->second);
    member.classic = one.is_classic();
    member.last_heard = one.last_heard;
    description.members.push_back(std::move(member));
  }
  return description;
}

void ConsumerGroup::snapshot(std::vector<Record>& records) const {
  records.push_back(ConsumerGroupRecord{name_, {{epoch_, metadata_hash_}}});
  for (const auto& [name, one] : members_)
    records.push_back(ConsumerMemberRecord{name_, name, one.about});
  for (const auto& [regex, value] : regexes_) records.push_back(RegexRecord{name_, regex, value});
  records.push_back(TargetEpochRecord{name_, target_epoch_});
  for (const auto& [name, one] : members_) {
    const auto target = targets_.find(name);
    if (target != targets_.end())
      records.push_back(TargetRecord{name_, name, by_topic(target->second)});
    records.push_back(current_record(name, one.standing));
  }
}

CurrentRecord ConsumerGroup::current_record(const std::string& name,
                                            const Standing& standing) const {
  return {name_,
          name,
          {{standing.epoch, standing.previous_epoch, standing.state, by_topic(standing.assigned),
            by_topic(standing.pending)}}};
}

void ConsumerGroup::tombstones(std::vector<Record>& records) const {
  for (const auto& [name, one] : members_) remove_records(name, records);
  for (const auto& [regex, value] : regexes_)
    records.push_back(RegexRecord{name_, regex, std::nullopt});
  records.push_back(TargetEpochRecord{name_, std::nullopt});
  records.push_back(ConsumerGroupRecord{name_, std::nullopt});
}

}  // namespace millrace::coordinator
