// DeleteTopics: by name, and from version 6 on by id too.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/topics.h"
#include "broker/wire/messages/delete_topics.h"

namespace millrace::kafka {
namespace {

using Request = wire::DeleteTopicsRequest;
using Response = wire::DeleteTopicsResponse;

constexpr std::int16_t kTopicIdVersionMin = 6;
constexpr std::int16_t kDisabledVersionMin =
    3;  // before it clients do not know TOPIC_DELETION_DISABLED

struct Work {
  Response response;
  std::vector<std::size_t> places;  // of outcome i in the response
};

std::vector<Request::Topic> wanted_topics(Request& request, std::int16_t version) {
  if (version >= kTopicIdVersionMin) return std::move(request.topics);
  std::vector<Request::Topic> topics;
  for (std::string& name : request.topic_names) topics.emplace_back().name = std::move(name);
  return topics;
}

std::vector<service::TopicRef> plan(const std::vector<Request::Topic>& wanted, Work& work) {
  Occurrences<std::string> names;
  Occurrences<common::Uuid> ids;
  for (const Request::Topic& topic : wanted) {
    const bool by_id = !topic.topic_id.is_zero();
    if (by_id && !topic.name.has_value()) ids.add(topic.topic_id);
    if (!by_id && topic.name.has_value()) names.add(*topic.name);
  }
  std::vector<service::TopicRef> topics;
  for (const Request::Topic& topic : wanted) {
    Response::Topic& answer = work.response.responses.emplace_back();
    answer.name = topic.name;
    answer.topic_id = topic.topic_id;
    const bool by_id = !topic.topic_id.is_zero();
    if (by_id && topic.name.has_value()) {
      put_error(answer, ErrorCode::kInvalidRequest,
                "You may not specify both topic name and topic id.");
    } else if (!by_id && !topic.name.has_value()) {
      put_error(answer, ErrorCode::kInvalidRequest, "Neither topic name nor id were specified.");
    } else if (by_id && ids.repeated(topic.topic_id)) {
      put_error(answer, ErrorCode::kInvalidRequest, "Duplicate topic id.");
    } else if (!by_id && names.repeated(*topic.name)) {
      put_error(answer, ErrorCode::kInvalidRequest, "Duplicate topic name.");
    } else {
      work.places.push_back(work.response.responses.size() - 1);
      topics.push_back({topic.topic_id, topic.name.value_or("")});
    }
  }
  return topics;
}

void refuse_all(const std::vector<Request::Topic>& wanted, Call<Request> call) {
  Response response;
  const ErrorCode code = call.version() < kDisabledVersionMin ? ErrorCode::kInvalidRequest
                                                              : ErrorCode::kTopicDeletionDisabled;
  for (const Request::Topic& topic : wanted) {
    Response::Topic& answer = response.responses.emplace_back();
    answer.name = topic.name;
    answer.topic_id = topic.topic_id;
    put_error(answer, code, {});
  }
  call.answer(response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  const auto wanted = wanted_topics(request, call.version());
  if (!shard.settings().delete_topics) return refuse_all(wanted, std::move(call));
  auto work = std::make_unique<Work>();
  auto topics = plan(wanted, *work);
  service::delete_topics(shard, std::move(topics),
                         [call = std::move(call), work = std::move(work)](
                             std::vector<service::TopicOutcome> outcomes) mutable {
                           for (std::size_t i = 0; i < outcomes.size(); ++i) {
                             Response::Topic& answer = work->response.responses[work->places[i]];
                             service::TopicOutcome& outcome = outcomes[i];
                             put_error(answer, outcome.code, std::move(outcome.detail));
                             if (outcome.code != ErrorCode::kNone) continue;
                             answer.name = std::move(outcome.name);
                             answer.topic_id = outcome.id;
                           }
                           call.answer(work->response);
                         });
}

}  // namespace millrace::kafka
