// OffsetForLeaderEpoch: where a leader epoch ended (KIP-101, KIP-320).
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/offsets.h"
#include "broker/wire/messages/offset_for_leader_epoch.h"

namespace millrace::kafka {
namespace {

using Request = wire::OffsetForLeaderEpochRequest;
using Response = wire::OffsetForLeaderEpochResponse;

/// Every partition of the request, in its order: the queries and the answer line up.
std::vector<service::EpochQuery> plan(const Request& request, Response& response) {
  std::vector<service::EpochQuery> queries;
  for (const Request::Topic& topic : request.topics) {
    Response::Topic& answers = response.topics.emplace_back();
    answers.topic = topic.topic;
    for (const Request::Partition& wanted : topic.partitions) {
      answers.partitions.emplace_back().partition = wanted.partition;
      queries.push_back({{{}, topic.topic, model::PartitionIndex{wanted.partition}},
                         model::Term{wanted.current_leader_epoch},
                         model::Term{wanted.leader_epoch}});
    }
  }
  return queries;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto response = std::make_unique<Response>();
  auto queries = plan(request, *response);
  service::offsets_for_epochs(shard, std::move(queries),
                              [call = std::move(call), response = std::move(response)](
                                  std::vector<service::EpochAnswer> found) mutable {
                                std::size_t i = 0;
                                for (auto& topic : response->topics) {
                                  for (auto& partition : topic.partitions) {
                                    const service::EpochAnswer& answer = found[i++];
                                    partition.error_code = kafka_number(answer.code);
                                    if (answer.code != ErrorCode::kNone) continue;
                                    partition.leader_epoch = answer.epoch.value();
                                    partition.end_offset = answer.end_offset.value();
                                  }
                                }
                                call.answer(*response);
                              });
}

}  // namespace millrace::kafka
