// DescribeProducers (KIP-664): what partitions remember of idempotent producers.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/producers.h"
#include "broker/wire/messages/describe_producers.h"

namespace millrace::kafka {
namespace {

using Request = wire::DescribeProducersRequest;
using Response = wire::DescribeProducersResponse;

/// Every partition of the request, in its order: what is asked and the answer line up.
std::vector<service::PartitionRef> plan(const Request& request, Response& response) {
  std::vector<service::PartitionRef> partitions;
  for (const Request::Topic& topic : request.topics) {
    Response::Topic& answers = response.topics.emplace_back();
    answers.name = topic.name;
    for (const std::int32_t index : topic.partition_indexes) {
      answers.partitions.emplace_back().partition_index = index;
      partitions.push_back({{}, topic.name, model::PartitionIndex{index}});
    }
  }
  return partitions;
}

void put(service::ProducersAnswer found, Response::Partition& answer) {
  put_error(answer, found.code, std::move(found.detail));
  for (const model::ProducerEntry& entry : found.producers) {
    Response::Producer& producer = answer.active_producers.emplace_back();
    producer.producer_id = entry.producer_id.value();
    producer.producer_epoch = entry.epoch;
    producer.last_sequence = entry.last_sequence();
    producer.last_timestamp = entry.last_seen.value();
    producer.coordinator_epoch = -1;
  }
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto response = std::make_unique<Response>();
  auto partitions = plan(request, *response);
  service::describe_producers(shard, std::move(partitions),
                              [call = std::move(call), response = std::move(response)](
                                  std::vector<service::ProducersAnswer> found) mutable {
                                std::size_t i = 0;
                                for (auto& topic : response->topics) {
                                  for (auto& partition : topic.partitions)
                                    put(std::move(found[i++]), partition);
                                }
                                call.answer(*response);
                              });
}

}  // namespace millrace::kafka
