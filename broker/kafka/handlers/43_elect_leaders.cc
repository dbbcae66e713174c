// ElectLeaders (KIP-460).
#include <algorithm>
#include <map>
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/elections.h"
#include "broker/wire/messages/elect_leaders.h"

namespace millrace::kafka {
namespace {

using Request = wire::ElectLeadersRequest;
using Response = wire::ElectLeadersResponse;

constexpr std::int8_t kElectionsMax = 1;  // preferred and unclean
constexpr std::int32_t kWaitMsMax = 60'000;

std::vector<service::PartitionRef> wanted(const Request& request, const service::Shard& shard) {
  std::vector<service::PartitionRef> partitions;
  if (!request.topic_partitions.has_value()) {
    for (const auto& [name, topic] : shard.image().topics()) {
      for (std::int32_t i = 0; i < topic->partition_count(); ++i)
        partitions.push_back({{}, name, model::PartitionIndex{i}});
    }
    return partitions;
  }
  for (const Request::Topic& topic : *request.topic_partitions) {
    for (const std::int32_t index : topic.partitions)
      partitions.push_back({{}, topic.topic, model::PartitionIndex{index}});
  }
  return partitions;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  if (request.election_type < 0 || request.election_type > kElectionsMax) {
    Response response;
    response.error_code = kafka_number(ErrorCode::kInvalidRequest);
    return call.answer(response);
  }
  auto partitions = wanted(request, shard);
  // Who asks about all partitions learns only of those where something was to be done.
  const bool all = !request.topic_partitions.has_value();
  auto names = std::make_unique<std::vector<service::PartitionRef>>(partitions);
  service::elect_leaders(
      shard, std::move(partitions), static_cast<service::Election>(request.election_type),
      std::chrono::milliseconds(std::clamp(request.timeout_ms, 0, kWaitMsMax)),
      [call = std::move(call), names = std::move(names),
       all](std::vector<service::ElectionOutcome> outcomes) mutable {
        std::map<std::string, std::vector<Response::PartitionResult>> results;
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
          if (all && outcomes[i].code == ErrorCode::kElectionNotNeeded) continue;
          Response::PartitionResult result;
          result.partition_id = (*names)[i].partition.value();
          put_error(result, outcomes[i].code, std::move(outcomes[i].detail));
          results[(*names)[i].topic_name].push_back(std::move(result));
        }
        Response response;
        for (auto& [name, partition_results] : results)
          response.replica_election_results.push_back({name, std::move(partition_results)});
        call.answer(response);
      });
}

}  // namespace millrace::kafka
