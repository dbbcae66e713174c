// OffsetDelete (KIP-496): committed offsets of topics that nobody in the group is subscribed to.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/offset_delete.h"

namespace millrace::kafka {
namespace {

using Request = wire::OffsetDeleteRequest;
using Response = wire::OffsetDeleteResponse;

struct Work {
  Response response;
  std::vector<std::pair<std::size_t, std::size_t>> places;  // of partition i: topic, partition
};

/// What may be there to delete; the rest has its answer.
std::vector<coordinator::OffsetFetch::Partition> plan(const Request& request,
                                                      const metadata::Image& image, Work& work) {
  std::vector<coordinator::OffsetFetch::Partition> partitions;
  for (const Request::Topic& wanted : request.topics) {
    const auto topic = image.topic(wanted.name);
    Response::Topic& answers = work.response.topics.emplace_back();
    answers.name = wanted.name;
    for (const Request::Partition& partition : wanted.partitions) {
      const std::int32_t index = partition.partition_index;
      Response::Partition& answer = answers.partitions.emplace_back();
      answer.partition_index = index;
      if (topic == nullptr || index < 0 || index >= topic->partition_count()) {
        answer.error_code = kafka_number(ErrorCode::kUnknownTopicOrPartition);
        continue;
      }
      work.places.emplace_back(work.response.topics.size() - 1, answers.partitions.size() - 1);
      partitions.push_back({{topic->name, topic->id}, index});
    }
  }
  return partitions;
}

void answer(Work& work, const coordinator::OffsetDeleteOutcome& outcome, Call<Request> call) {
  if (!outcome.status.ok()) {
    Response response;
    response.error_code = kafka_number(outcome.status.code);
    return call.answer(response);
  }
  CHECK(outcome.partitions.size() == work.places.size());
  for (std::size_t i = 0; i < work.places.size(); ++i) {
    const auto [topic, partition] = work.places[i];
    work.response.topics[topic].partitions[partition].error_code =
        kafka_number(outcome.partitions[i]);
  }
  call.answer(work.response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto work = std::make_unique<Work>();
  coordinator::OffsetDelete deletion{std::move(request.group_id),
                                     plan(request, shard.image(), *work)};
  if (deletion.partitions.empty()) return call.answer(work->response);
  service::delete_offsets(shard, std::move(deletion),
                          [call = std::move(call), work = std::move(work)](
                              coordinator::OffsetDeleteOutcome outcome) mutable {
                            answer(*work, outcome, std::move(call));
                          });
}

}  // namespace millrace::kafka
