// AlterPartitionReassignments (KIP-455).
#include "broker/kafka/handlers/answers.h"
#include "broker/metadata/machine.h"
#include "broker/wire/messages/alter_partition_reassignments.h"

namespace millrace::kafka {
namespace {

using Request = wire::AlterPartitionReassignmentsRequest;
using Response = wire::AlterPartitionReassignmentsResponse;

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  const service::Shard& shard = call.shard();
  Response response;
  response.allow_replication_factor_change = request.allow_replication_factor_change;
  for (const Request::Topic& topic : request.topics) {
    Response::TopicResult& answers = response.responses.emplace_back();
    answers.name = topic.name;
    for (const Request::Partition& partition : topic.partitions) {
      metadata::ReassignPartition wanted{
          .topic = topic.name, .index = partition.partition_index, .replicas = std::nullopt};
      if (partition.replicas.has_value()) {
        wanted.replicas.emplace();
        for (const std::int32_t broker : *partition.replicas) wanted.replicas->emplace_back(broker);
      }
      Response::PartitionResult& answer = answers.partitions.emplace_back();
      answer.partition_index = partition.partition_index;
      const auto outcome = metadata::check(shard.image(), wanted);
      put_error(answer, outcome.ok() ? ErrorCode::kNone : outcome.error().code,
                outcome.ok() ? "" : outcome.error().detail);
    }
  }
  response.error_message.reset();
  call.answer(response);
}

}  // namespace millrace::kafka
