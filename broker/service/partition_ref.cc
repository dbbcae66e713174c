#include "broker/service/partition_ref.h"

#include <fmt/format.h>

namespace millrace::service {

using model::ErrorCode;

common::Result<model::PartitionKey> resolve(const Shard& here, const PartitionRef& ref) {
  const bool by_id = !ref.topic_id.is_zero();
  const auto topic = by_id ? here.image().topic(ref.topic_id) : here.image().topic(ref.topic_name);
  if (topic == nullptr) {
    if (by_id) {
      return common::Error{ErrorCode::kUnknownTopicId,
                           fmt::format("No topic has the id {}", ref.topic_id)};
    }
    return common::Error{ErrorCode::kUnknownTopicOrPartition,
                         fmt::format("Topic {} does not exist", ref.topic_name)};
  }
  const std::int32_t index = ref.partition.value();
  if (index < 0 || index >= topic->partition_count()) {
    return common::Error{ErrorCode::kUnknownTopicOrPartition,
                         fmt::format("Topic {} has no partition {}: it has {}", topic->name, index,
                                     topic->partition_count())};
  }
  return model::PartitionKey{topic->id, ref.partition};
}

}  // namespace millrace::service
