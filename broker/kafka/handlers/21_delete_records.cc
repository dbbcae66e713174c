// DeleteRecords: moves the start of logs forward.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/offsets.h"
#include "broker/wire/messages/delete_records.h"

namespace millrace::kafka {
namespace {

using Request = wire::DeleteRecordsRequest;
using Response = wire::DeleteRecordsResponse;

/// Every partition of the request, in its order: the items and the answer line up.
std::vector<service::DeleteRecordsItem> plan(const Request& request, Response& response) {
  std::vector<service::DeleteRecordsItem> items;
  for (const Request::Topic& topic : request.topics) {
    Response::Topic& answers = response.topics.emplace_back();
    answers.name = topic.name;
    for (const Request::Partition& wanted : topic.partitions) {
      answers.partitions.emplace_back().partition_index = wanted.partition_index;
      items.push_back({{{}, topic.name, model::PartitionIndex{wanted.partition_index}},
                       model::Offset{wanted.offset}});
    }
  }
  return items;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto response = std::make_unique<Response>();
  auto items = plan(request, *response);
  service::delete_records(shard, std::move(items),
                          [call = std::move(call), response = std::move(response)](
                              std::vector<service::DeleteRecordsOutcome> outcomes) mutable {
                            std::size_t i = 0;
                            for (auto& topic : response->topics) {
                              for (auto& partition : topic.partitions) {
                                const service::DeleteRecordsOutcome& outcome = outcomes[i++];
                                partition.error_code = kafka_number(outcome.code);
                                partition.low_watermark = outcome.code == ErrorCode::kNone
                                                              ? outcome.low_watermark.value()
                                                              : -1;
                              }
                            }
                            call.answer(*response);
                          });
}

}  // namespace millrace::kafka
