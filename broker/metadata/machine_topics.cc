// Commands about topics, brokers and producer ids.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "broker/metadata/machine.h"
#include "broker/metadata/placement.h"
#include "broker/model/topic_name.h"

namespace millrace::metadata {
namespace {

using model::Error;
using model::ErrorCode;

/// Kafka's bound on what one command may create; it bounds the work of one decision here as well.
constexpr std::int64_t kPartitionsPerCommandMax = 10'000;

Result<void> check_new_name(const Image& image, const std::string& name) {
  TRY(model::check_topic_name(name));
  if (name == "__cluster_metadata") {
    return Error{ErrorCode::kInvalidRequest,
                 fmt::format("Creation of internal topic {} is prohibited.", name)};
  }
  if (image.topic(name) != nullptr) {
    return Error{ErrorCode::kTopicAlreadyExists, fmt::format("Topic '{}' already exists.", name)};
  }
  if (const auto other = image.colliding_topic(name)) {
    return Error{ErrorCode::kInvalidTopic,
                 fmt::format("Topic '{}' collides with existing topic: {}", name, other->name)};
  }
  return common::ok();
}

/// The replicas of each partition in order of partition, from a client's own assignment.
Result<std::vector<Replicas>> given_partitions(const Image& image, const CreateTopic& command) {
  if (command.replication_factor != -1) {
    return Error{
        ErrorCode::kInvalidRequest,
        "A manual partition assignment was specified, but replication factor was not set to -1."};
  }
  if (command.partitions != -1) {
    return Error{
        ErrorCode::kInvalidRequest,
        "A manual partition assignment was specified, but numPartitions was not set to -1."};
  }
  std::map<std::int32_t, Replicas> by_index;
  for (const auto& [index, replicas] : command.assignments) {
    if (!by_index.emplace(index, replicas).second) {
      return Error{
          ErrorCode::kInvalidReplicaAssignment,
          fmt::format("Found multiple manual partition assignments for partition {}", index)};
    }
    TRY(check_replicas(image, replicas, command.assignments.front().second.size()));
  }
  std::vector<Replicas> partitions;
  for (auto& [index, replicas] : by_index) {
    if (std::cmp_not_equal(index, partitions.size())) {
      return Error{ErrorCode::kInvalidReplicaAssignment,
                   "partitions should be a consecutive 0-based integer sequence"};
    }
    partitions.push_back(std::move(replicas));
  }
  return partitions;
}

/// A broker that is alone has no choice to remember.
bool is_by_hand(const Image& image, bool given) {
  return given && image.feature_level() >= kClusterLevel;
}

Error too_many() {
  return Error{ErrorCode::kPolicyViolation,
               fmt::format("Excessively large number of partitions per request: at most {}.",
                           kPartitionsPerCommandMax)};
}

Result<std::vector<Replicas>> chosen_partitions(const Image& image, const CreateTopic& command,
                                                const CreationRules& rules) {
  if (command.replication_factor < -1 || command.replication_factor == 0) {
    return Error{ErrorCode::kInvalidReplicationFactor,
                 "Replication factor must be larger than 0, or -1 to use the default value."};
  }
  if (command.partitions < -1 || command.partitions == 0) {
    return Error{ErrorCode::kInvalidPartitions,
                 "Number of partitions was set to an invalid non-positive value."};
  }
  const std::int32_t count =
      command.partitions == -1 ? rules.default_partitions : command.partitions;
  const std::int16_t factor = command.replication_factor == -1 ? rules.default_replication_factor
                                                               : command.replication_factor;
  CHECK(count > 0);
  CHECK(factor > 0);
  if (count > kPartitionsPerCommandMax) return too_many();
  return place_partitions(image, count, factor);
}

}  // namespace

Result<Decision<TopicOutcome>> decide(const Image& image, const CreateTopic& command,
                                      const CreationRules& rules) {
  CHECK(!command.id.is_zero(), "a new topic needs an id");
  TRY(check_new_name(image, command.name));
  TRY(model::check_topic_configs(command.configs));
  auto partitions = command.assignments.empty() ? chosen_partitions(image, command, rules)
                                                : given_partitions(image, command);
  if (!partitions.ok()) return std::move(partitions).error();
  if (std::cmp_greater(partitions->size(), kPartitionsPerCommandMax)) return too_many();
  TRY(check_budget(image, *partitions, rules.partitions_per_shard_max, command.name));
  Decision<TopicOutcome> decision;
  decision.outcome = {.id = command.id,
                      .partitions = static_cast<std::int32_t>(partitions->size()),
                      .replication_factor = static_cast<std::int16_t>(partitions->front().size())};
  decision.records.emplace_back(
      TopicCreated{.id = command.id,
                   .name = command.name,
                   .partitions = *std::move(partitions),
                   .configs = command.configs,
                   .by_hand = is_by_hand(image, !command.assignments.empty())});
  return decision;
}

Result<Decision<TopicOutcome>> decide(const Image& image, const CreatePartitions& command,
                                      const CreationRules& rules) {
  const auto topic = image.topic(command.topic);
  if (topic == nullptr) return model::error(ErrorCode::kUnknownTopicOrPartition);
  const std::int32_t present = topic->partition_count();
  if (command.count == present) {
    return Error{ErrorCode::kInvalidPartitions,
                 fmt::format("Topic already has {} partition(s).", present)};
  }
  if (command.count < present) {
    return Error{
        ErrorCode::kInvalidPartitions,
        fmt::format("The topic {} currently has {} partition(s); {} would not be an increase.",
                    command.topic, present, command.count)};
  }
  const std::int64_t more = std::int64_t{command.count} - present;
  if (more > kPartitionsPerCommandMax) return too_many();
  const std::size_t factor = topic->partitions.front().size();
  std::vector<Replicas> added = command.assignments;
  if (added.empty()) {
    TRY_ASSIGN(added, place_partitions(image, more, static_cast<std::int16_t>(factor)));
  }
  if (std::cmp_not_equal(added.size(), more)) {
    return Error{ErrorCode::kInvalidReplicaAssignment,
                 fmt::format("Attempted to add {} additional partition(s), but only {} "
                             "assignment(s) were specified.",
                             more, added.size())};
  }
  for (const Replicas& replicas : added) TRY(check_replicas(image, replicas, factor));
  TRY(check_budget(image, added, rules.partitions_per_shard_max, command.topic));
  Decision<TopicOutcome> decision;
  decision.outcome = {.id = topic->id,
                      .partitions = command.count,
                      .replication_factor = static_cast<std::int16_t>(factor)};
  decision.records.emplace_back(
      PartitionsAdded{.topic = topic->id,
                      .first = present,
                      .partitions = std::move(added),
                      .by_hand = is_by_hand(image, !command.assignments.empty())});
  return decision;
}

Result<void> check(const Image& image, const ReassignPartition& command) {
  const auto topic = image.topic(command.topic);
  if (topic == nullptr) {
    return Error{ErrorCode::kUnknownTopicOrPartition,
                 fmt::format("Unable to find a topic named {}.", command.topic)};
  }
  if (command.index < 0 || command.index >= topic->partition_count()) {
    return Error{ErrorCode::kUnknownTopicOrPartition,
                 fmt::format("Unable to find partition {}:{}.", command.topic, command.index)};
  }
  if (!command.replicas) return model::error(ErrorCode::kNoReassignmentInProgress);
  TRY(check_replicas(image, *command.replicas, command.replicas->size()));
  if (*command.replicas == topic->partitions[static_cast<std::size_t>(command.index)])
    return common::ok();
  return Error{ErrorCode::kInvalidReplicaAssignment,
               "Partitions cannot be moved between brokers yet; nothing was changed."};
}

Result<Decision<DeletedTopic>> decide(const Image& image, const DeleteTopic& command) {
  const bool by_id = !command.id.is_zero();
  const auto topic = by_id ? image.topic(command.id) : image.topic(command.name);
  if (topic == nullptr) {
    return model::error(by_id ? ErrorCode::kUnknownTopicId : ErrorCode::kUnknownTopicOrPartition);
  }
  Decision<DeletedTopic> decision;
  decision.outcome = {.id = topic->id, .name = topic->name};
  decision.records.emplace_back(TopicDeleted{topic->id});
  return decision;
}

Decision<NoOutcome> decide(const Image& image, const ConfirmRemoval& command) {
  const auto found = image.removing().find(command.topic);
  if (found == image.removing().end() || !found->second.waiting_for.contains(command.broker))
    return {};
  return Decision<NoOutcome>{.records = {TopicRemoved{command.topic, command.broker}},
                             .outcome = {}};
}

Result<Decision<ProducerIdBlock>> decide(const Image& image, const AllocateProducerIds& command) {
  CHECK(command.count > 0);
  const model::ProducerId first = image.next_producer_id();
  if (first.value() > INT64_MAX - command.count) {
    return Error{ErrorCode::kUnknownServerError,
                 "Exhausted all producerIds as the next block's end would overflow"};
  }
  Decision<ProducerIdBlock> decision;
  decision.outcome = {.first = first, .count = command.count};
  decision.records.emplace_back(ProducerIdsAllocated{first + command.count});
  return decision;
}

Result<Decision<NoOutcome>> decide(const Image& image, const RegisterBroker& command) {
  const Broker& broker = command.broker;
  if (broker.id < model::BrokerId{0} || broker.endpoints.empty() || broker.shards < 1) {
    return Error{ErrorCode::kInvalidRegistration,
                 fmt::format("Broker {} has {} endpoint(s) and {} shard(s); it needs an id and one "
                             "of each at least.",
                             broker.id, broker.endpoints.size(), broker.shards)};
  }
  if (image.receipts().contains(broker.directory)) {
    return Error{ErrorCode::kInvalidRegistration,
                 fmt::format("The directory {} of broker {} was decommissioned.", broker.directory,
                             broker.id)};
  }
  if (image.feature_level() > 0 && broker.level_max < image.feature_level()) {
    return Error{ErrorCode::kUnsupportedVersion,
                 fmt::format("Broker {} works up to feature level {}; the cluster is at {}.",
                             broker.id, broker.level_max, image.feature_level())};
  }
  Decision<NoOutcome> decision;
  const auto known = image.brokers().find(broker.id);
  Broker next = broker;
  next.epoch = known == image.brokers().end() ? 0 : known->second.epoch;
  if (known != image.brokers().end() && known->second == next) return decision;
  if (command.previous == Predecessor::kAlive && known != image.brokers().end() &&
      known->second.directory != broker.directory) {
    return Error{ErrorCode::kDuplicateBrokerRegistration,
                 fmt::format("Broker {} is there, on another disk.", broker.id)};
  }
  for (const auto& [directory, receipt] : image.receipts()) {
    if (receipt.broker == broker.id) next.epoch = std::max(next.epoch, receipt.epoch);
  }
  if (!broker.incarnation.is_zero()) ++next.epoch;
  decision.records.emplace_back(BrokerRegistered{std::move(next)});
  return decision;
}

}  // namespace millrace::metadata
