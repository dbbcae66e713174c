#include "broker/metadata/machine_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/metadata/placement.h"
#include "common/check.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::Error;
using model::ErrorCode;

Result<void> check_level(const Image& image) {
  if (image.feature_level() >= kClusterLevel) return common::ok();
  return Error{ErrorCode::kFeatureUpdateFailed,
               fmt::format("This needs feature level {}, and {} is finalized.", kClusterLevel,
                           image.feature_level())};
}

Result<void> check_registered(const Image& image, BrokerId broker) {
  if (image.brokers().contains(broker)) return common::ok();
  return Error{ErrorCode::kBrokerIdNotRegistered,
               fmt::format("Broker {} is not registered.", broker)};
}

/// Deleted topics of which a broker still has files.
std::int64_t removing_on(const Image& image, BrokerId broker) {
  return std::count_if(
      image.removing().begin(), image.removing().end(),
      [broker](const auto& entry) { return entry.second.waiting_for.contains(broker); });
}

/// The wanted replicas with directories: a replica that stays keeps its own.
ReplicaSet with_directories(const Image& image, const PartitionAssignment& present,
                            const Replicas& wanted) {
  ReplicaSet replicas;
  for (const BrokerId id : wanted) {
    const auto broker = image.brokers().find(id);
    CHECK(broker != image.brokers().end());
    const auto stays = std::find_if(present.replicas.begin(), present.replicas.end(),
                                    [id](const Replica& replica) { return replica.broker == id; });
    replicas.push_back(stays != present.replicas.end() && stays->directory.is_zero()
                           ? *stays
                           : Replica{.broker = id, .directory = broker->second.directory});
  }
  return replicas;
}

Result<const PartitionAssignment*> find_partition(const Image& image,
                                                  const ReassignPartition& command) {
  const auto topic = image.topic(command.topic);
  if (topic == nullptr) {
    return Error{ErrorCode::kUnknownTopicOrPartition,
                 fmt::format("Unable to find a topic named {}.", command.topic)};
  }
  const PartitionAssignment* const found =
      image.assignment({topic->id, model::PartitionIndex{command.index}});
  if (found == nullptr) {
    return Error{ErrorCode::kUnknownTopicOrPartition,
                 fmt::format("Unable to find partition {}:{}.", command.topic, command.index)};
  }
  return found;
}

}  // namespace

Result<Decision<NoOutcome>> decide(const Image& image, const SetFeatureLevel& command) {
  if (command.level < image.feature_level() || command.level > kFeatureLevelMax) {
    return Error{ErrorCode::kFeatureUpdateFailed,
                 fmt::format("The feature level can be {} to {}, not {}.", image.feature_level(),
                             kFeatureLevelMax, command.level)};
  }
  for (const auto& [id, broker] : image.brokers()) {
    if (broker.level_min <= command.level && command.level <= broker.level_max) continue;
    return Error{ErrorCode::kFeatureUpdateFailed,
                 fmt::format("Broker {} works at feature levels {} to {} only.", id,
                             broker.level_min, broker.level_max)};
  }
  Decision<NoOutcome> decision;
  if (command.level != image.feature_level())
    decision.records.emplace_back(FeatureLevelSet{command.level});
  return decision;
}

Result<Decision<NoOutcome>> decide(const Image& image, const DrainBroker& command) {
  TRY(check_level(image));
  TRY(check_registered(image, command.broker));
  if (image.state(command.broker) != BrokerState::kActive) return Decision<NoOutcome>{};
  const auto staying =
      std::count_if(image.brokers().begin(), image.brokers().end(), [&](const auto& entry) {
        return entry.first != command.broker && image.state(entry.first) == BrokerState::kActive;
      });
  for (const auto& [name, topic] : image.topics()) {
    for (const Replicas& replicas : topic->partitions) {
      if (std::cmp_less_equal(replicas.size(), staying)) continue;
      return Error{ErrorCode::kInvalidReplicationFactor,
                   fmt::format("Topic '{}' has {} replicas; without broker {} there would be {} "
                               "active broker(s).",
                               name, replicas.size(), command.broker, staying)};
    }
  }
  return Decision<NoOutcome>{.records = {BrokerStateSet{command.broker, BrokerState::kDraining}},
                             .outcome = {}};
}

Result<Decision<NoOutcome>> decide(const Image& image, const UndrainBroker& command) {
  TRY(check_level(image));
  TRY(check_registered(image, command.broker));
  if (image.state(command.broker) == BrokerState::kActive) return Decision<NoOutcome>{};
  return Decision<NoOutcome>{.records = {BrokerStateSet{command.broker, BrokerState::kActive}},
                             .outcome = {}};
}

Result<Decision<Receipt>> decide(const Image& image, const DecommissionBroker& command) {
  TRY(check_level(image));
  const auto given = image.receipts().find(command.directory);
  if (given != image.receipts().end() && given->second.broker == command.broker)
    return Decision<Receipt>{.records = {}, .outcome = given->second};
  TRY(check_registered(image, command.broker));
  const Broker& broker = image.brokers().find(command.broker)->second;
  if (broker.directory != command.directory) {
    return Error{ErrorCode::kBrokerIdNotRegistered,
                 fmt::format("Broker {} is registered with another directory: {}.", broker.id,
                             broker.directory)};
  }
  const std::int64_t replicas = image.replicas_on(broker.id);
  const std::int64_t removing = removing_on(image, broker.id);
  if (image.state(broker.id) != BrokerState::kDrained || replicas != 0 || removing != 0) {
    return Error{
        ErrorCode::kInvalidRequest,
        fmt::format("Broker {} is not drained and empty: {} replica(s) and files of {} "
                    "deleted topic(s) are left on it. First: millctl broker drain {} --wait",
                    broker.id, replicas, removing, broker.id)};
  }
  const Receipt receipt{broker.id, broker.directory, broker.epoch};
  return Decision<Receipt>{
      .records = {BrokerDecommissioned{receipt.broker, receipt.directory, receipt.epoch}},
      .outcome = receipt};
}

Result<Decision<NoOutcome>> decide(const Image& image, const ReassignPartition& command) {
  TRY(check_level(image));
  TRY_ASSIGN(const PartitionAssignment* const present, find_partition(image, command));
  const model::PartitionKey key{image.topic(command.topic)->id,
                                model::PartitionIndex{command.index}};
  Decision<NoOutcome> decision;
  if (!command.replicas) {
    if (!present->moving()) return model::error(ErrorCode::kNoReassignmentInProgress);
    decision.records.emplace_back(MoveCancelled{key});
    return decision;
  }
  TRY(check_replicas(image, *command.replicas, command.replicas->size()));
  for (const BrokerId broker : *command.replicas) {
    if (image.state(broker) == BrokerState::kActive) continue;
    return Error{ErrorCode::kInvalidReplicaAssignment,
                 fmt::format("Broker {} is draining or drained.", broker)};
  }
  ReplicaSet target = with_directories(image, *present, *command.replicas);
  if (target == present->replicas) {
    if (present->moving()) decision.records.emplace_back(MoveCancelled{key});
  } else if (target != present->target) {
    decision.records.emplace_back(MoveStarted{key, std::move(target), true});
  }
  return decision;
}

}  // namespace millrace::metadata
