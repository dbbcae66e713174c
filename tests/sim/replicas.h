// for (const auto& [key, replica] : replicas_on(machine)) ...
//
// The replicas of a cluster, as its machines hold them.
#pragma once

#include <utility>
#include <vector>

#include "broker/service/metadata_writer.h"
#include "tests/sim/machine.h"

namespace millrace::sim {

using ReplicasOfMachine = std::vector<std::pair<model::PartitionKey, replica::Partition*>>;
using ReplicasOfGroup = std::vector<std::pair<Machine*, replica::Partition*>>;

/// The metadata log's included; none, if no process is there. Valid until the next event.
inline ReplicasOfMachine replicas_on(Machine& machine) {
  ReplicasOfMachine all;
  server::Node* const node = machine.running();
  if (node == nullptr) return all;
  for (service::Shard* shard : node->shards()) {
    for (const auto& [key, replica] : shard->partitions()) all.emplace_back(key, replica.get());
    if (service::MetadataWriter* const writer = shard->metadata_writer())
      all.emplace_back(writer->replica().log().key(), &writer->replica());
  }
  return all;
}

/// Those of one group, in order of the machines.
inline ReplicasOfGroup replicas_of(const std::vector<Machine*>& machines,
                                   const model::PartitionKey& key) {
  ReplicasOfGroup all;
  for (Machine* machine : machines) {
    for (const auto& [other, replica] : replicas_on(*machine))
      if (other == key) all.emplace_back(machine, replica);
  }
  return all;
}

}  // namespace millrace::sim
