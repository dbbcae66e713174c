// Members that go, and groups that change their protocol because of it, or because of who comes.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "broker/coordinator/consumer_group_draft.h"
#include "broker/coordinator/consumer_protocol.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

using Migration = Settings::Migration;

bool is_among(const std::string& name, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A protocol that all of these members know, or the first of the first.
std::string common_protocol(const std::vector<const ConsumerMemberRecord::ClassicMember*>& all) {
  CHECK(!all.empty());
  const auto knows = [](const ConsumerMemberRecord::ClassicMember& one, const std::string& name) {
    return std::any_of(one.protocols.begin(), one.protocols.end(),
                       [&](const Protocol& protocol) { return protocol.name == name; });
  };
  for (const Protocol& protocol : all.front()->protocols) {
    const bool known = std::all_of(all.begin(), all.end(),
                                   [&](const auto* one) { return knows(*one, protocol.name); });
    if (known) return protocol.name;
  }
  return all.front()->protocols.empty() ? "" : all.front()->protocols.front().name;
}

const Protocol* metadata_of(const std::vector<Protocol>& protocols, const std::string& name) {
  for (const Protocol& protocol : protocols) {
    if (protocol.name == name) return &protocol;
  }
  return protocols.empty() ? nullptr : &protocols.front();
}

}  // namespace

void ConsumerGroup::remove_records(const std::string& name, std::vector<Record>& records) const {
  records.push_back(CurrentRecord{name_, name, std::nullopt});
  if (targets_.contains(name)) records.push_back(TargetRecord{name_, name, std::nullopt});
  records.push_back(ConsumerMemberRecord{name_, name, std::nullopt});
}

void ConsumerGroup::remove(const std::vector<std::string>& names, Now now,
                           std::vector<Record>& records) const {
  CHECK(!names.empty());
  if (can_downgrade(names)) return downgrade(names, now, records);
  std::map<std::string, std::int32_t> users = regex_users_;
  std::vector<const About*> abouts;
  for (const std::string& name : names) {
    const auto at = members_.find(name);
    CHECK(at != members_.end(), "{} is not a member", name);
    remove_records(name, records);
    abouts.push_back(&at->second.about);
    const std::string& regex = at->second.about.topic_regex;
    if (!regex.empty() && --users[regex] == 0)
      records.push_back(RegexRecord{name_, regex, std::nullopt});
  }
  records.push_back(
      ConsumerGroupRecord{name_, {{epoch_ + 1, metadata_hash(abouts, nullptr, nullptr)}}});
}

bool ConsumerGroup::can_downgrade(const std::vector<std::string>& leaving) const {
  const Migration policy = shared_.settings.consumer_migration;
  if (policy != Migration::kDowngrade && policy != Migration::kBidirectional) return false;
  std::size_t left = 0;
  for (const auto& [name, one] : members_) {
    if (is_among(name, leaving)) continue;
    if (!one.is_classic()) return false;
    ++left;
  }
  return left > 0 && left <= static_cast<std::size_t>(shared_.settings.group_max_size);
}

void ConsumerGroup::downgrade(const std::vector<std::string>& leaving, Now now,
                              std::vector<Record>& records) const {
  CHECK(can_downgrade(leaving));
  tombstones(records);
  std::vector<const ConsumerMemberRecord::ClassicMember*> staying;
  for (const auto& [name, one] : members_) {
    if (!is_among(name, leaving)) staying.push_back(&*one.about.classic);
  }
  ClassicGroupRecord::Value value;
  value.protocol_type = std::string(kConsumerProtocolType);
  value.generation = epoch_;
  value.protocol = common_protocol(staying);
  value.state_since = now.wall;
  for (const auto& [name, one] : members_) {
    if (is_among(name, leaving)) continue;
    const ConsumerMemberRecord::ClassicMember& classic = *one.about.classic;
    ClassicGroupRecord::Member member;
    member.member = name;
    member.instance = one.about.instance;
    member.client = one.about.client;
    member.rebalance_timeout_ms = one.about.rebalance_timeout_ms;
    member.session_timeout_ms = classic.session_timeout_ms;
    if (const Protocol* protocol = metadata_of(classic.protocols, *value.protocol))
      member.subscription = protocol->metadata;
    Assignment assignment;
    assignment.partitions = named(one.standing.assigned);
    member.assignment = encode(assignment);
    value.members.push_back(std::move(member));
  }
  records.push_back(ClassicGroupRecord{name_, std::move(value)});
}

namespace {

Status check_upgrade(const ClassicGroup& group, const Settings& settings) {
  const auto no = [&](std::string_view why) {
    return Status{ErrorCode::kGroupIdNotFound,
                  fmt::format("Cannot upgrade classic group {} to consumer group because {}.",
                              group.name(), why)};
  };
  if (settings.consumer_migration != Migration::kUpgrade &&
      settings.consumer_migration != Migration::kBidirectional)
    return no("online upgrade is disabled");
  if (!group.uses_consumer_protocol())
    return no("the group does not use the consumer embedded protocol");
  if (group.members().size() > static_cast<std::size_t>(settings.consumer_max_size))
    return no("the group size exceeds the consumer group maximum size");
  return {};
}

// What one classic member becomes.
struct Upgraded {
  std::string name;
  ConsumerMemberRecord::Value about;
  PartitionList assigned;
  /// What it held when it joined last: in a cooperative round it may be giving that up just now.
  PartitionList claimed;
};

PartitionList flat(const std::vector<NamedPartitions>& all, const Topics& topics) {
  std::vector<TopicPartitions> known;
  for (const NamedPartitions& named : all) {
    const auto topic = topics.by_name.find(named.topic);
    if (topic != topics.by_name.end()) known.push_back({topic->second.id, named.partitions});
  }
  return coordinator::flat(known);
}
common::Result<Upgraded> upgrade_member(const ClassicGroup& group, const ClassicMember& member,
                                        const Topics& topics) {
  const auto malformed = [&] {
    return common::Error{ErrorCode::kGroupIdNotFound,
                         fmt::format("Cannot upgrade classic group {} to consumer group because "
                                     "the embedded consumer protocol is malformed.",
                                     group.name())};
  };
  const Protocol* protocol = metadata_of(member.protocols, group.protocol().value_or(""));
  if (protocol == nullptr) return malformed();
  const auto subscription = decode_subscription(protocol->metadata);
  const auto assignment = decode_assignment(member.assignment);
  if (!subscription.ok() || !assignment.ok()) return malformed();
  if (assignment->user_data && !assignment->user_data->empty()) {
    return common::Error{ErrorCode::kGroupIdNotFound,
                         fmt::format("Cannot upgrade classic group {} to consumer group because "
                                     "an unsupported custom assignor is in use.",
                                     group.name())};
  }
  Upgraded upgraded;
  upgraded.name = member.id;
  upgraded.about.instance = member.instance;
  upgraded.about.rack = subscription->rack;
  upgraded.about.client = member.client;
  upgraded.about.topics = subscription->topics;
  std::sort(upgraded.about.topics.begin(), upgraded.about.topics.end());
  upgraded.about.topics.erase(
      std::unique(upgraded.about.topics.begin(), upgraded.about.topics.end()),
      upgraded.about.topics.end());
  upgraded.about.rebalance_timeout_ms = member.rebalance_timeout_ms;
  upgraded.about.classic =
      ConsumerMemberRecord::ClassicMember{member.session_timeout_ms, member.protocols};
  upgraded.assigned = flat(assignment->partitions, topics);
  upgraded.claimed = flat(subscription->owned, topics);
  return upgraded;
}

}  // namespace

common::Result<std::vector<Record>> upgrade(const ClassicGroup& group, const Shared& shared, Now) {
  if (Status bad = check_upgrade(group, shared.settings); !bad.ok())
    return common::Error{bad.code, bad.detail};
  const std::string& name = group.name();
  const Epoch epoch = group.generation();
  std::vector<Record> records;
  records.push_back(ClassicGroupRecord{name, std::nullopt});
  records.push_back(ConsumerGroupRecord{name, {{epoch, 0}}});
  records.push_back(TargetEpochRecord{name, epoch});
  std::vector<Upgraded> members;
  for (const auto& [member, one] : group.members()) {
    auto upgraded = upgrade_member(group, one, *shared.topics);
    if (!upgraded.ok()) return upgraded.error();
    members.push_back(*std::move(upgraded));
  }
  // Nothing is held twice: an assignment goes before a claim, and the first member before others.
  std::set<model::PartitionKey> taken;
  std::vector<Holding> assigned(members.size());
  std::vector<Holding> pending(members.size());
  for (std::size_t m = 0; m < members.size(); ++m) {
    for (const model::PartitionKey& key : members[m].assigned) {
      if (taken.insert(key).second) assigned[m].push_back({key, epoch});
    }
  }
  for (std::size_t m = 0; m < members.size(); ++m) {
    for (const model::PartitionKey& key : members[m].claimed) {
      if (taken.insert(key).second) pending[m].push_back({key, epoch});
    }
    const std::string& member = members[m].name;
    const MemberState state =
        pending[m].empty() ? MemberState::kStable : MemberState::kUnrevokedPartitions;
    records.push_back(ConsumerMemberRecord{name, member, std::move(members[m].about)});
    records.push_back(TargetRecord{name, member, by_topic(keys_of(assigned[m]))});
    records.push_back(CurrentRecord{
        name, member, {{epoch, epoch, state, by_topic(assigned[m]), by_topic(pending[m])}}});
  }
  return records;
}

}  // namespace millrace::coordinator
