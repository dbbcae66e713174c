// What planners must know besides the image: it comes from heartbeats and from the partitions'
// leaders, and is gathered by whoever runs them (the leader of the metadata log).
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "broker/metadata/records.h"

namespace millrace::metadata {

struct BrokerHealth {
  /// How long nothing was heard of it; 0: it is there.
  std::int64_t silent_ms = 0;
  /// Its partitions are replayed and caught up, so that it may lead.
  bool recovered = true;
  /// Its disk takes writes.
  bool has_room = true;
  bool alive() const { return silent_ms == 0; }
};

/// What a partition's leader says of its group.
struct PartitionStatus {
  /// nullopt: nobody leads it, so its voters cannot change.
  std::optional<model::BrokerId> leader;
  ReplicaSet voters;
  /// The voters that hold all that is committed, the leader included.
  ReplicaSet caught_up;
  std::int64_t bytes = 0;
  std::int32_t insync_min = 1;
};

/// A broker or a partition that is missing here is not known: planners leave it alone, and never
/// take it for dead or empty. The metadata log's own partition belongs in as well.
struct View {
  std::map<model::BrokerId, BrokerHealth> brokers;
  std::map<model::PartitionKey, PartitionStatus> partitions;

  bool alive(model::BrokerId broker) const {
    const auto found = brokers.find(broker);
    return found != brokers.end() && found->second.alive();
  }
  bool recovered(model::BrokerId broker) const {
    const auto found = brokers.find(broker);
    return found != brokers.end() && found->second.alive() && found->second.recovered;
  }
  /// It is there, and its disk takes writes.
  bool takes_writes(model::BrokerId broker) const {
    const auto found = brokers.find(broker);
    return found != brokers.end() && found->second.alive() && found->second.has_room;
  }
  /// nullptr: not known.
  const PartitionStatus* status(const model::PartitionKey& partition) const {
    const auto found = partitions.find(partition);
    return found == partitions.end() ? nullptr : &found->second;
  }
};

}  // namespace millrace::metadata
