// CreatePartitions: more partitions for topics.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/topics.h"
#include "broker/wire/messages/create_partitions.h"

namespace millrace::kafka {
namespace {

using Request = wire::CreatePartitionsRequest;
using Response = wire::CreatePartitionsResponse;

struct Work {
  Response response;
  std::vector<std::size_t> places;  // of outcome i in the response
};

std::vector<service::MorePartitions> plan(const Request& request, Work& work) {
  Occurrences<std::string> names;
  for (const Request::Topic& wanted : request.topics) names.add(wanted.name);
  std::vector<service::MorePartitions> topics;
  for (const Request::Topic& wanted : request.topics) {
    Response::Topic& answer = work.response.results.emplace_back();
    answer.name = wanted.name;
    if (names.repeated(wanted.name)) {
      put_error(answer, ErrorCode::kInvalidRequest, "Duplicate topic name.");
      continue;
    }
    work.places.push_back(work.response.results.size() - 1);
    service::MorePartitions& more = topics.emplace_back();
    more.name = wanted.name;
    more.count = wanted.count;
    if (!wanted.assignments.has_value()) continue;
    for (const Request::Assignment& assignment : *wanted.assignments) {
      auto& brokers = more.assignments.emplace_back();
      for (const std::int32_t id : assignment.broker_ids) brokers.emplace_back(id);
    }
  }
  return topics;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto work = std::make_unique<Work>();
  auto topics = plan(request, *work);
  service::create_partitions(shard, std::move(topics), request.validate_only,
                             [call = std::move(call), work = std::move(work)](
                                 std::vector<service::TopicOutcome> outcomes) mutable {
                               for (std::size_t i = 0; i < outcomes.size(); ++i) {
                                 put_error(work->response.results[work->places[i]],
                                           outcomes[i].code, std::move(outcomes[i].detail));
                               }
                               call.answer(work->response);
                             });
}

}  // namespace millrace::kafka
