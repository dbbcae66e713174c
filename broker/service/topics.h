// Use cases: make, delete and grow topics. All go through the first shard, which writes the
// metadata log; an answer leaves after every shard has applied the change, so that the next request
// finds it everywhere.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/service/shard.h"

namespace millrace::service {

/// A config name with its new value; nullopt: the default.
using ConfigOverride = std::pair<std::string, std::optional<std::string>>;

struct NewTopic {
  std::string name;
  /// -1: the broker's num.partitions.
  std::int32_t partitions = -1;
  /// -1: the broker's default.replication.factor.
  std::int16_t replication_factor = -1;
  /// Not 0: so many, or as many as there are brokers, if these are fewer. Then replication_factor
  /// must be -1.
  std::int16_t replicas_max = 0;
  /// Explicit replicas by partition; then partitions and replication_factor must be -1.
  std::vector<std::pair<model::PartitionIndex, std::vector<model::BrokerId>>> assignments;
  std::vector<ConfigOverride> configs;
};

struct TopicOutcome {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
  std::string name;
  model::TopicId id;
  std::int32_t partitions = -1;
  std::int16_t replication_factor = -1;
};

/// Outcomes in the order of the topics. With validate_only nothing is made. In a cluster it answers
/// when the partitions have leaders, so that the first write finds them (await_leaders()).
void create_topics(Shard& here, std::vector<NewTopic> topics, bool validate_only,
                   common::Reply<std::vector<TopicOutcome>> done);

/// Makes a topic with all defaults for a client that named one that is not there
/// (auto.create.topics.enable). Several callers at once get the same topic. Errors as
/// create_topics; an existing topic is a success.
void auto_create_topic(Shard& here, std::string name, common::Reply<TopicOutcome> done);

/// By id when it is not zero, else by name.
struct TopicRef {
  model::TopicId id;
  std::string name;
};

/// kInvalidTopic for a topic of the broker's own, such as __consumer_offsets.
void delete_topics(Shard& here, std::vector<TopicRef> topics,
                   common::Reply<std::vector<TopicOutcome>> done);

struct MorePartitions {
  std::string name;
  /// The new total.
  std::int32_t count = 0;
  /// Replicas of the added ones, or empty.
  std::vector<std::vector<model::BrokerId>> assignments;
};

/// kInvalidTopic as delete_topics().
void create_partitions(Shard& here, std::vector<MorePartitions> topics, bool validate_only,
                       common::Reply<std::vector<TopicOutcome>> done);

}  // namespace millrace::service
