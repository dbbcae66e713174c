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

/// Outcomes in the order of the partitions, on `here`'s loop. kNone: the preferred replica leads
/// now. kElectionNotNeeded: it did already; of kUnclean: somebody leads.
/// kPreferredLeaderNotAvailable: its broker is away, or it is not caught up.
/// kEligibleLeadersNotAvailable: nobody leads, and no replica with everything committed can; giving
/// up what was committed needs an operator's word for each partition, which this is not.
/// kUnknownTopicOrPartition.
void elect_leaders(Shard& here, std::vector<PartitionRef> partitions, Election election,
                   common::Duration limit, common::Reply<std::vector<ElectionOutcome>> done);

}  // namespace millrace::service
