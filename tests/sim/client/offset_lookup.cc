#include "tests/sim/client/offset_lookup.h"

namespace millrace::sim {

wire::ListOffsetsRequest ask_of_one(const std::string& topic, std::int32_t partition,
                                    common::Timestamp at) {
  wire::ListOffsetsRequest request;
  request.replica_id = -1;
  auto& asked = request.topics.emplace_back();
  asked.name = topic;
  asked.partitions.push_back(
      {.partition_index = partition, .current_leader_epoch = -1, .timestamp = at.value()});
  return request;
}

const wire::ListOffsetsResponse::Partition* told_of_one(
    const common::Result<wire::ListOffsetsResponse>& answer) {
  if (!answer.ok() || answer->topics.empty() || answer->topics.front().partitions.empty())
    return nullptr;
  return &answer->topics.front().partitions.front();
}

}  // namespace millrace::sim
