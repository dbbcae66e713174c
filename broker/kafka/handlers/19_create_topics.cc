// CreateTopics.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/configs.h"
#include "broker/service/topics.h"
#include "broker/wire/messages/create_topics.h"

namespace millrace::kafka {
namespace {

using Request = wire::CreateTopicsRequest;
using Response = wire::CreateTopicsResponse;

constexpr std::int16_t kConfigsVersionMin = 5;

struct Work {
  Response response;
  std::vector<std::size_t> places;        // of outcome i in the response
  std::vector<model::ConfigMap> configs;  // that outcome i was asked to have
  bool show_configs = false;
};

service::NewTopic new_topic(const Request::Topic& wanted) {
  service::NewTopic topic;
  topic.name = wanted.name;
  topic.partitions = wanted.num_partitions;
  topic.replication_factor = wanted.replication_factor;
  for (const Request::Assignment& assignment : wanted.assignments) {
    auto& [partition, brokers] = topic.assignments.emplace_back();
    partition = model::PartitionIndex{assignment.partition_index};
    for (const std::int32_t id : assignment.broker_ids) brokers.emplace_back(id);
  }
  for (const Request::Config& config : wanted.configs)
    topic.configs.emplace_back(config.name, config.value);
  return topic;
}

std::vector<service::NewTopic> plan(const Request& request, Work& work) {
  Occurrences<std::string> names;
  for (const Request::Topic& wanted : request.topics) names.add(wanted.name);
  std::vector<service::NewTopic> topics;
  for (const Request::Topic& wanted : request.topics) {
    Response::Topic& answer = work.response.topics.emplace_back();
    answer.name = wanted.name;
    if (names.repeated(wanted.name)) {
      put_error(answer, ErrorCode::kInvalidRequest, "Duplicate topic name.");
      continue;
    }
    work.places.push_back(work.response.topics.size() - 1);
    model::ConfigMap& configs = work.configs.emplace_back();
    for (const Request::Config& config : wanted.configs)
      configs[config.name] = config.value.value_or("");
    topics.push_back(new_topic(wanted));
  }
  return topics;
}

/// The answer for a topic that was made, or could be (KIP-525).
void put(const service::Shard& shard, const Work& work, std::size_t i,
         service::TopicOutcome outcome, Response::Topic& answer) {
  put_error(answer, outcome.code, std::move(outcome.detail));
  answer.configs.emplace();
  if (outcome.code != ErrorCode::kNone) return;
  answer.topic_id = outcome.id;
  answer.num_partitions = outcome.partitions;
  answer.replication_factor = outcome.replication_factor;
  if (!work.show_configs) return;
  for (service::ConfigEntry& entry : service::topic_config_entries(shard, work.configs[i])) {
    answer.configs->push_back({std::move(entry.name), std::move(entry.value), entry.read_only,
                               static_cast<std::int8_t>(entry.source), entry.sensitive});
  }
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto work = std::make_unique<Work>();
  auto topics = plan(request, *work);
  work->show_configs = call.version() >= kConfigsVersionMin;
  service::create_topics(shard, std::move(topics), request.validate_only,
                         [call = std::move(call), work = std::move(work),
                          &shard](std::vector<service::TopicOutcome> outcomes) mutable {
                           for (std::size_t i = 0; i < outcomes.size(); ++i) {
                             put(shard, *work, i, std::move(outcomes[i]),
                                 work->response.topics[work->places[i]]);
                           }
                           call.answer(work->response);
                         });
}

}  // namespace millrace::kafka
