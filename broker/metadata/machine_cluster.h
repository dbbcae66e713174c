// Commands about a cluster of several brokers: see machine.h for what decide() is.
// All but SetFeatureLevel need kClusterLevel finalized: kFeatureUpdateFailed otherwise.
#pragma once

#include <cstdint>

#include "broker/metadata/machine.h"

namespace millrace::metadata {

/// kFeatureUpdateFailed: it would fall, or a registered broker cannot work at it.
struct SetFeatureLevel {
  std::int32_t level = 0;
};
Result<Decision<NoOutcome>> decide(const Image& image, const SetFeatureLevel& command);

/// All replicas of a broker are to go elsewhere. No records if it is draining or drained.
/// kBrokerIdNotRegistered; kInvalidReplicationFactor: some topic has more replicas than brokers
/// would stay active.
struct DrainBroker {
  model::BrokerId broker{-1};
};
Result<Decision<NoOutcome>> decide(const Image& image, const DrainBroker& command);

/// Ends a drain. kBrokerIdNotRegistered.
struct UndrainBroker {
  model::BrokerId broker{-1};
};
Result<Decision<NoOutcome>> decide(const Image& image, const UndrainBroker& command);

/// Retires a drained broker by its directory; asked again, the same receipt. The receipt counts
/// only once the records are committed. kBrokerIdNotRegistered (of this id and directory there is
/// none); kInvalidRequest: not drained, or something is left on it.
struct DecommissionBroker {
  model::BrokerId broker{-1};
  common::Uuid directory;
};
Result<Decision<Receipt>> decide(const Image& image, const DecommissionBroker& command);

/// AlterPartitionReassignments of one partition (KIP-455). As check(), and
/// kInvalidReplicaAssignment for a broker that is not active.
Result<Decision<NoOutcome>> decide(const Image& image, const ReassignPartition& command);

}  // namespace millrace::metadata
