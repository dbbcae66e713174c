// AlterPartitionReassignments (KIP-455): where the replicas of partitions should be.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/reassignments.h"
#include "broker/wire/messages/alter_partition_reassignments.h"

namespace millrace::kafka {
namespace {

using Request = wire::AlterPartitionReassignmentsRequest;
using Response = wire::AlterPartitionReassignmentsResponse;

/// Every partition of the request, in its order: the wishes and the answer line up.
std::vector<metadata::ReassignPartition> plan(const Request& request, Response& response) {
  std::vector<metadata::ReassignPartition> wishes;
  for (const Request::Topic& topic : request.topics) {
    Response::TopicResult& answers = response.responses.emplace_back();
    answers.name = topic.name;
    for (const Request::Partition& partition : topic.partitions) {
      answers.partitions.emplace_back().partition_index = partition.partition_index;
      metadata::ReassignPartition& wish = wishes.emplace_back(metadata::ReassignPartition{
          .topic = topic.name, .index = partition.partition_index, .replicas = std::nullopt});
      if (!partition.replicas.has_value()) continue;
      wish.replicas.emplace();
      for (const std::int32_t broker : *partition.replicas) wish.replicas->emplace_back(broker);
    }
  }
  return wishes;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  auto response = std::make_unique<Response>();
  response->allow_replication_factor_change = request.allow_replication_factor_change;
  response->error_message.reset();
  auto wishes = plan(request, *response);
  service::Shard& shard = call.shard();
  const auto change = request.allow_replication_factor_change ? service::FactorChange::kAllowed
                                                              : service::FactorChange::kRefused;
  service::reassign_partitions(
      shard, std::move(wishes), change,
      [call = std::move(call),
       response = std::move(response)](std::vector<common::Result<void>> outcomes) mutable {
        std::size_t i = 0;
        for (auto& topic : response->responses) {
          for (auto& partition : topic.partitions) {
            const common::Result<void>& outcome = outcomes[i++];
            put_error(partition, outcome.ok() ? ErrorCode::kNone : outcome.error().code,
                      outcome.ok() ? "" : outcome.error().detail);
          }
        }
        call.answer(*response);
      });
}

}  // namespace millrace::kafka
