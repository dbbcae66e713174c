// TRY_ASSIGN(Decision<TopicOutcome> decision, decide(image, CreateTopic{...}, rules));
// if (!validate_only) propose(decision.records);
//
// What commands mean. decide() looks at an image and answers with records and an outcome, or
// refuses; it changes nothing. The caller appends the records, and once they are committed every
// image applies them. A command must be decided on an image that holds everything proposed before
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/metadata/image.h"
#include "broker/metadata/records.h"
#include "broker/model/topic_settings.h"

namespace millrace::metadata {

/// Records to commit, and the answer to give once they are. No records: nothing needs to change.
template <typename Outcome>
struct Decision {
  std::vector<Record> records;
  Outcome outcome{};
};
struct NoOutcome {};

/// The limits and defaults that creation of partitions obeys: from the broker's settings.
struct CreationRules {
  std::int32_t default_partitions = 1;
  std::int16_t default_replication_factor = 1;
  /// Replicas that one shard may carry; a broker's budget is this times its shards.
  std::int32_t partitions_per_shard_max = 0;
};

/// -1 in partitions or replication_factor: the default. With `assignments` both must be -1.
struct CreateTopic {
  std::string name;
  /// Fresh and random, from the caller: machines draw nothing.
  model::TopicId id;
  std::int32_t partitions = -1;
  std::int16_t replication_factor = -1;
  /// (partition, brokers) as the client gave them, in any order.
  std::vector<std::pair<std::int32_t, Replicas>> assignments;
  model::ConfigMap configs;
};
struct TopicOutcome {
  model::TopicId id;
  std::int32_t partitions = 0;
  std::int16_t replication_factor = 0;
};
/// kInvalidTopic, kTopicAlreadyExists, kInvalidPartitions, kInvalidReplicationFactor,
/// kInvalidReplicaAssignment, kInvalidRequest, kInvalidConfig, kPolicyViolation (over the partition
/// budget; the text has the numbers).
Result<Decision<TopicOutcome>> decide(const Image& image, const CreateTopic& command,
                                      const CreationRules& rules);

/// `count`: the total wanted. `assignments`: for each new partition, or empty to place them here.
struct CreatePartitions {
  std::string topic;
  std::int32_t count = 0;
  std::vector<Replicas> assignments;
};
/// kUnknownTopicOrPartition, kInvalidPartitions (not an increase), kInvalidReplicaAssignment,
/// kPolicyViolation.
Result<Decision<TopicOutcome>> decide(const Image& image, const CreatePartitions& command,
                                      const CreationRules& rules);

/// Where a partition should be. nullopt: ends a move that is under way.
struct ReassignPartition {
  std::string topic;
  std::int32_t index = 0;
  std::optional<Replicas> replicas;
};
/// Says whether the wish is met already, which is the only one that can be granted: nothing moves
/// between brokers yet. kUnknownTopicOrPartition, kInvalidReplicaAssignment,
/// kNoReassignmentInProgress (there is no move to end).
Result<void> check(const Image& image, const ReassignPartition& command);

/// By id if it is not zero, else by name.
struct DeleteTopic {
  std::string name;
  model::TopicId id;
};
struct DeletedTopic {
  model::TopicId id;
  std::string name;
};
/// kUnknownTopicOrPartition, kUnknownTopicId.
Result<Decision<DeletedTopic>> decide(const Image& image, const DeleteTopic& command);

/// A broker says that nothing of a deleted topic is left on it. Of an unknown topic: no records.
struct ConfirmRemoval {
  model::TopicId topic;
  model::BrokerId broker{-1};
};
Decision<NoOutcome> decide(const Image& image, const ConfirmRemoval& command);

/// One change of IncrementalAlterConfigs, with its numbers there.
struct ConfigChange {
  enum class Operation : std::int8_t { kSet = 0, kDelete = 1, kAppend = 2, kSubtract = 3 };
  std::string name;
  Operation operation = Operation::kSet;
  std::optional<std::string> value;
};
/// Changes of a topic's settings. `replace_all` (AlterConfigs): what is not named goes back to its
/// default.
enum class AlterStyle : std::uint8_t { kIncremental, kReplaceAll };
struct AlterTopicConfigs {
  std::string topic;
  std::vector<ConfigChange> changes;
  AlterStyle style = AlterStyle::kIncremental;
};
/// kUnknownTopicOrPartition, kInvalidConfig, kInvalidRequest. `layers` give the defaults that
/// APPEND and SUBTRACT start from.
Result<Decision<NoOutcome>> decide(const Image& image, const AlterTopicConfigs& command,
                                   const model::BrokerLayers& layers);

/// Changes of broker settings at run time; broker nullopt: for all brokers.
struct AlterBrokerConfigs {
  std::optional<model::BrokerId> broker;
  std::vector<ConfigChange> changes;
  AlterStyle style = AlterStyle::kIncremental;
};
/// kBrokerIdNotRegistered, kInvalidConfig, kInvalidRequest.
Result<Decision<NoOutcome>> decide(const Image& image, const AlterBrokerConfigs& command,
                                   const model::BrokerLayers& layers);

/// Changes of the settings of a client metrics subscription; the first one makes it, and without
/// any it is gone. kInvalidConfig, kInvalidRequest (no name, or an unknown setting or value).
struct AlterClientMetrics {
  std::string subscription;
  std::vector<ConfigChange> changes;
  AlterStyle style = AlterStyle::kIncremental;
};
Result<Decision<NoOutcome>> decide(const Image& image, const AlterClientMetrics& command);

/// A block of producer ids for one broker to hand out.
struct AllocateProducerIds {
  std::int32_t count = 1000;
};
struct ProducerIdBlock {
  model::ProducerId first;
  std::int32_t count = 0;
};
/// kUnknownServerError when 2^63 ids are used up.
Result<Decision<ProducerIdBlock>> decide(const Image& image, const AllocateProducerIds& command);

/// Whether the earlier process of a broker's id is still heard of.
enum class Predecessor : std::uint8_t { kSilent, kAlive };

/// A broker tells who and where it is. No records when the image says the same. Its epoch is given
/// here: one more than that of the last registration.
struct RegisterBroker {
  Broker broker;
  Predecessor previous = Predecessor::kSilent;
};
/// kInvalidRegistration: no id, no endpoint or no shards, or a directory that was decommissioned.
/// kDuplicateBrokerRegistration: the id is at work on another disk. kUnsupportedVersion: the
/// feature level is above what the broker can work at.
Result<Decision<NoOutcome>> decide(const Image& image, const RegisterBroker& command);

}  // namespace millrace::metadata
