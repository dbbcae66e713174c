// How requests name a partition, and what that resolves to.
#pragma once

#include <string>

#include "broker/service/shard.h"

namespace millrace::service {

/// By topic id when it is not zero, else by name. Newer Kafka requests carry ids, older ones and
/// gRPC names.
struct PartitionRef {
  model::TopicId topic_id;
  std::string topic_name;
  model::PartitionIndex partition;
};

/// kUnknownTopicId, kUnknownTopicOrPartition: no such topic, or no such partition in it.
common::Result<model::PartitionKey> resolve(const Shard& here, const PartitionRef& ref);

}  // namespace millrace::service
