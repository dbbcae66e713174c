#include "tests/sim/wholeness.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "broker/service/leaders.h"
#include "broker/service/metadata_writer.h"
#include "tests/sim/replicas.h"

namespace millrace::sim {
namespace {

std::set<raft::ReplicaId> wanted_voters(const metadata::PartitionAssignment& assignment,
                                        const Members& members) {
  std::set<raft::ReplicaId> voters;
  for (const metadata::Replica& replica : assignment.replicas) {
    // Where the metadata does not say which directory, it is the one that the broker has.
    common::Uuid directory = replica.directory;
    for (Machine* machine : members) {
      if (directory.is_zero() && machine->id() == replica.broker)
        directory = machine->node().shards().front()->identity().directory;
    }
    voters.insert({replica.broker, directory});
  }
  return voters;
}

std::string name_of(const model::PartitionKey& key) {
  return fmt::format("{}-{}", key.topic.text(), key.index);
}

/// Of one group, all of whose replicas are given.
std::string lack_of_group(const ReplicasOfGroup& replicas) {
  const replica::Partition* leader = nullptr;
  for (const auto& [machine, replica] : replicas) {
    if (replica->group() == nullptr) return fmt::format("is out of service on {}", machine->name());
    if (replica->is_leader()) leader = replica;
  }
  if (leader == nullptr) return "has no leader";
  const model::Offset end = leader->bounds().log_end;
  for (const auto& [machine, replica] : replicas) {
    const replica::Bounds bounds = replica->bounds();
    if (bounds.log_end != end || bounds.high_watermark != end) {
      return fmt::format("ends at {}, on {} at {} with a high watermark of {}", end,
                         machine->name(), bounds.log_end, bounds.high_watermark);
    }
    if (replica->term() != leader->term() || replica->leader() != leader->group()->self())
      return fmt::format("is led by somebody else, says {}", machine->name());
  }
  return {};
}

std::string lack_of_partition(const Members& members, const model::PartitionKey& key,
                              const metadata::PartitionAssignment& assignment) {
  if (assignment.moving()) return "is moving";
  const ReplicasOfGroup replicas = replicas_of(members, key);
  if (std::string lack = lack_of_group(replicas); !lack.empty()) return lack;
  const auto leads =
      std::ranges::find_if(replicas, [](const auto& entry) { return entry.second->is_leader(); });
  const raft::VoterSet& set = leads->second->group()->config();
  const std::set<raft::ReplicaId> voters(set.voters.begin(), set.voters.end());
  if (voters != wanted_voters(assignment, members) || !set.learners.empty())
    return fmt::format("has {} voters and {} learners, and not those that are wanted",
                       set.voters.size(), set.learners.size());
  if (replicas.size() != voters.size())
    return fmt::format("is on {} brokers, and has {} voters", replicas.size(), voters.size());
  for (Machine* machine : members) {
    for (service::Shard* shard : machine->node().shards()) {
      const service::KnownLeader known = service::known_leader(*shard, key);
      const bool asked = shard->neighbours() != nullptr || &shard->owner(key) == shard;
      if (asked && (known.leader != leads->first->id() || known.epoch != leads->second->term())) {
        return fmt::format("is led by {} in epoch {}, and {} knows of {} in {}", leads->first->id(),
                           leads->second->term(), machine->name(), known.leader, known.epoch);
      }
    }
  }
  return {};
}

}  // namespace

std::string missing_until_whole(const Members& members) {
  for (Machine* machine : members) {
    if (machine->state() != Machine::State::kServing)
      return fmt::format("{} does not serve", machine->name());
  }
  const model::PartitionKey log{model::kMetadataTopicId, model::PartitionIndex{0}};
  const ReplicasOfGroup logs = replicas_of(members, log);
  if (logs.size() != members.size()) return "a broker has no metadata log";
  if (std::string lack = lack_of_group(logs); !lack.empty())
    return fmt::format("the metadata log {}", lack);
  for (Machine* machine : members) {
    const auto* const writer = machine->node().shards().front()->metadata_writer();
    if (writer->applied() != logs.front().second->bounds().log_end)
      return fmt::format("{} has applied the metadata up to {}", machine->name(),
                         writer->applied());
  }
  for (Machine* machine : members) {
    for (service::Shard* shard : machine->node().shards()) {
      if (!(shard->image() == machine->node().shards().front()->image()))
        return fmt::format("shard {} of {} has other metadata", shard->index(), machine->name());
    }
  }
  const metadata::Image& image = members.front()->node().shards().front()->image();
  for (const auto& [name, topic] : image.topics()) {
    for (std::int32_t i = 0; i < topic->partition_count(); ++i) {
      const model::PartitionKey key{topic->id, model::PartitionIndex{i}};
      const std::string lack = lack_of_partition(members, key, *image.assignment(key));
      if (!lack.empty()) return fmt::format("{}-{} ({}) {}", name, i, name_of(key), lack);
    }
  }
  return {};
}

bool can_lose_disk(const Members& members, const Machine& machine) {
  std::set<raft::ReplicaId> there;
  for (Machine* member : members) {
    if (member->state() != Machine::State::kServing) return false;
    there.insert(member->node().shards().front()->self_replica());
  }
  std::map<model::PartitionKey, raft::VoterSet> sets;
  for (Machine* member : members) {
    for (const auto& [key, replica] : replicas_on(*member)) {
      if (replica->group() == nullptr) return false;
      const raft::VoterSet& set = replica->group()->config();
      const auto [known, first] = sets.emplace(key, set);
      if (!first && known->second != set) return false;
    }
  }
  return std::ranges::all_of(sets, [&](const auto& entry) {
    const raft::VoterSet& set = entry.second;
    const bool is_there = std::ranges::all_of(
        set.voters, [&there](const raft::ReplicaId& voter) { return there.contains(voter); });
    const bool concerned = std::ranges::any_of(
        set.voters, [&machine](const auto& voter) { return voter.node == machine.id(); });
    return is_there && (!concerned || set.voters.size() >= 3);
  });
}

}  // namespace millrace::sim
