// DescribeTopicPartitions (KIP-966): topics in order of name, page by page.
#include <algorithm>
#include <set>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/wire/messages/describe_topic_partitions.h"

namespace millrace::kafka {
namespace {

using Request = wire::DescribeTopicPartitionsRequest;
using Response = wire::DescribeTopicPartitionsResponse;

// Kafka's max.request.partition.size.limit.
constexpr std::int32_t kPartitionsPerPageMax = 2000;

std::set<std::string> wanted_names(const Request& request, const metadata::Image& image) {
  std::set<std::string> names;
  for (const Request::Topic& topic : request.topics) names.insert(topic.name);
  if (request.topics.empty()) {
    for (const auto& [name, topic] : image.topics()) names.insert(name);
  }
  return names;
}

/// Adds the topic's partitions from `first` on, as many as `room` allows; answers the index of the
/// next one.
std::int32_t add_topic(const metadata::Topic& topic, std::int32_t first, std::int32_t room,
                       Response& response) {
  Response::Topic& answer = response.topics.emplace_back();
  answer.name = topic.name;
  answer.topic_id = topic.id;
  answer.is_internal = model::is_internal_topic(topic.name);
  answer.topic_authorized_operations = kTopicOperations;
  const std::int32_t end =
      std::min(topic.partition_count(), first + std::min(room, topic.partition_count()));
  for (std::int32_t i = first; i < end; ++i) {
    answer.partitions.push_back(partition_view<Response::Partition>(topic, i));
    answer.partitions.back().eligible_leader_replicas.emplace();
    answer.partitions.back().last_known_elr.emplace();
  }
  return std::max(first, end);
}

void add_missing(const std::string& name, Response& response) {
  Response::Topic& answer = response.topics.emplace_back();
  answer.name = name;
  answer.error_code =
      kafka_number(model::check_topic_name(name).ok() ? ErrorCode::kUnknownTopicOrPartition
                                                      : ErrorCode::kInvalidTopic);
}

/// One page, from the request's cursor on.
Response page(const service::Shard& shard, const Request& request) {
  std::int32_t room = std::clamp(request.response_partition_limit, 1, kPartitionsPerPageMax);
  const std::string start = request.cursor.has_value() ? request.cursor->topic_name : "";
  const std::int32_t start_index = request.cursor.has_value() ? request.cursor->partition_index : 0;
  const std::set<std::string> names = wanted_names(request, shard.image());
  Response response;
  for (auto name = names.lower_bound(start); name != names.end(); ++name) {
    // A cursor names the next topic whether or not it is there, as Kafka's does.
    if (room == 0) {
      response.next_cursor.emplace();
      response.next_cursor->topic_name = *name;
      break;
    }
    const auto topic = shard.image().topic(*name);
    if (topic == nullptr) {
      add_missing(*name, response);
      continue;
    }
    const std::int32_t first = *name == start ? std::min(start_index, topic->partition_count()) : 0;
    const std::int32_t next = add_topic(*topic, first, room, response);
    room -= next - first;
    if (next < topic->partition_count()) {
      response.next_cursor.emplace();
      response.next_cursor->topic_name = *name;
      response.next_cursor->partition_index = next;
      break;
    }
  }
  return response;
}

/// The answer has no error of its own: every topic of the request carries it.
Response refused(const Request& request) {
  Response response;
  for (const Request::Topic& topic : request.topics) {
    Response::Topic& answer = response.topics.emplace_back();
    answer.name = topic.name;
    answer.error_code = kafka_number(ErrorCode::kInvalidRequest);
  }
  return response;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  if (request.cursor.has_value() && request.cursor->partition_index < 0)
    return call.answer(refused(request));
  Arrival arrival = call.arrival();
  answer_with_leaders<Request>(shard, std::move(arrival), page(shard, request), std::move(call),
                               [](Response&) {});
}

}  // namespace millrace::kafka
