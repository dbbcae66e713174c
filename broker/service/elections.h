// Use case: new leaders for partitions.
#pragma once

#include <string>
#include <vector>

#include "broker/service/partition_ref.h"

namespace millrace::service {

/// Who may be elected, with Kafka's numbers: the first of the replicas, or any that lives.
enum class Election : std::int8_t { kPreferred = 0, kUnclean = 1 };

struct ElectionOutcome {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
};

/// Outcomes in the order of the partitions. kElectionNotNeeded: the leader is the right one.
/// kPreferredLeaderNotAvailable, kEligibleLeadersNotAvailable: this broker, the only one that
/// could, does not lead it now. kUnknownTopicOrPartition.
void elect_leaders(Shard& here, std::vector<PartitionRef> partitions, Election election,
                   common::Reply<std::vector<ElectionOutcome>> done);

}  // namespace millrace::service
