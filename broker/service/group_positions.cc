#include "broker/service/group_positions.h"

#include <algorithm>
#include <map>
#include <utility>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/service/group_coordinator.h"

namespace millrace::service {

using coordinator::GroupDescription;
using coordinator::Machine;

namespace {

using Places = std::map<std::pair<std::string, std::int32_t>, GroupPosition>;

GroupPosition& place(Places& places, const std::string& topic, std::int32_t partition) {
  GroupPosition& position = places[{topic, partition}];
  if (position.topic.empty()) {
    position.topic = topic;
    position.partition = partition;
  }
  return position;
}

/// A classic member's assignment is its leader's business; that of consumers can be read. What is
/// not there is left out: a leader may write millions of partitions into a few bytes each.
void add_classic(const Shard& owner, const GroupDescription::Member& member, Places& places) {
  const auto assignment = coordinator::decode_assignment(member.assignment_bytes);
  if (!assignment.ok()) return;
  for (const auto& named : assignment->partitions) {
    const auto topic = owner.image().topic(named.topic);
    if (topic == nullptr) continue;
    for (const std::int32_t partition : named.partitions) {
      if (partition >= 0 && partition < topic->partition_count())
        place(places, topic->name, partition).member = member.member;
    }
  }
}

void add_members(const Shard& owner, const GroupDescription& group, Places& places) {
  for (const auto& member : group.members) {
    for (const auto& held : member.assignment) {
      const auto topic = owner.image().topic(held.topic);
      if (topic == nullptr) continue;
      for (const std::int32_t partition : held.partitions)
        place(places, topic->name, partition).member = member.member;
    }
    const bool readable = group.summary.protocol_type == coordinator::kConsumerProtocolType;
    if (member.assignment.empty() && readable) add_classic(owner, member, places);
  }
}

void add_offsets(const Machine& machine, const std::string& group, Places& places) {
  auto fetched = machine.fetch_offsets({.group = group, .member = {}, .partitions = {}}).value;
  for (auto& offset : fetched.partitions) {
    if (offset.committed.offset.value() < 0) continue;
    place(places, offset.topic.name, offset.partition).committed = std::move(offset.committed);
  }
}

GroupPositions positions_of(const Shard& owner, const Machine& machine, const std::string& group) {
  GroupPositions found;
  found.group = machine.describe(group);
  if (!found.group.status.ok()) return found;
  Places places;
  add_members(owner, found.group, places);
  add_offsets(machine, group, places);
  found.positions.reserve(places.size());
  for (auto& [name, position] : places) found.positions.push_back(std::move(position));
  return found;
}

std::vector<GroupPositions> collect(const Shard& owner, const Machine& machine,
                                    const WhichGroups& which) {
  std::vector<GroupPositions> groups;
  if (which.name) {
    groups.push_back(positions_of(owner, machine, *which.name));
    return groups;
  }
  for (const coordinator::GroupSummary& summary : machine.list()) {
    const bool deserted = summary.state == coordinator::GroupState::kEmpty ||
                          summary.state == coordinator::GroupState::kDead;
    if (which.with_members_only && deserted) continue;
    groups.push_back(positions_of(owner, machine, summary.group));
  }
  return groups;
}

}  // namespace

std::int64_t GroupPosition::lag() const {
  if (!facts) return -1;
  const model::Offset from = std::max(committed.offset, facts->log_start);
  return std::max<std::int64_t>(0, facts->end - from);
}

void locate_groups(Shard& owner, const GroupCoordinator& coordinator, const WhichGroups& which,
                   common::Reply<std::vector<GroupPositions>> done) {
  const Machine* machine = coordinator.machine();
  if (machine == nullptr) return done({});
  auto groups = std::make_shared<std::vector<GroupPositions>>(collect(owner, *machine, which));
  // Each partition is asked for once, however many groups read it.
  std::map<model::PartitionKey, std::vector<GroupPosition*>> wanted;
  for (GroupPositions& group : *groups) {
    for (GroupPosition& position : group.positions) {
      const auto topic = owner.image().topic(position.topic);
      if (topic == nullptr || position.partition < 0 ||
          position.partition >= topic->partition_count()) {
        continue;
      }
      wanted[{topic->id, model::PartitionIndex{position.partition}}].push_back(&position);
    }
  }
  std::vector<model::PartitionKey> keys;
  std::vector<std::vector<GroupPosition*>> places;
  for (auto& [key, positions] : wanted) {
    keys.push_back(key);
    places.push_back(std::move(positions));
  }
  partition_facts(owner, std::move(keys),
                  [groups, places = std::move(places), done = std::move(done)](
                      std::vector<std::optional<PartitionFacts>> facts) mutable {
                    for (std::size_t i = 0; i < places.size(); ++i) {
                      for (GroupPosition* position : places[i]) position->facts = facts[i];
                    }
                    done(std::move(*groups));
                  });
}

}  // namespace millrace::service
