// OffsetFetch: how far groups have read; one group up to version 7, any number of them from
// version 8 on, topics by id from version 10 on.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_view.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/offset_fetch.h"

namespace millrace::kafka {
namespace {

using Request = wire::OffsetFetchRequest;
using Response = wire::OffsetFetchResponse;
using coordinator::OffsetFetchOutcome;

constexpr std::int16_t kGroupErrorVersionMin = 2;
constexpr std::int16_t kGroupsVersionMin = 8;
constexpr std::int16_t kTopicIdVersionMin = 10;

/// One question: what is asked of the service, and what the request said for the answer.
struct Question {
  Request::Group wanted;
  coordinator::OffsetFetch fetch;
};

using WantedTopics = std::optional<std::vector<Request::GroupTopic>>;

WantedTopics wanted_topics(std::optional<std::vector<Request::Topic>> named) {
  if (!named) return std::nullopt;
  std::vector<Request::GroupTopic> topics;
  for (Request::Topic& topic : *named) {
    topics.push_back({.name = std::move(topic.name),
                      .topic_id = {},
                      .partition_indexes = std::move(topic.partition_indexes)});
  }
  return topics;
}

/// The older form of the request as one group of the newer.
std::vector<Request::Group> wanted_groups(Request& request, std::int16_t version) {
  if (version >= kGroupsVersionMin) return std::move(request.groups);
  std::vector<Request::Group> groups(1);
  groups[0].group_id = std::move(request.group_id);
  groups[0].topics = wanted_topics(std::move(request.topics));
  return groups;
}

Question plan(Request::Group wanted, const metadata::Image& image, std::int16_t version) {
  Question question{std::move(wanted), {}};
  coordinator::OffsetFetch& fetch = question.fetch;
  fetch.group = question.wanted.group_id;
  fetch.member = question.wanted.member_id;
  fetch.epoch = coordinator::Epoch{question.wanted.member_epoch};
  if (!question.wanted.topics) return question;
  fetch.partitions.emplace();
  for (Request::GroupTopic& topic : *question.wanted.topics) {
    coordinator::TopicName name{topic.name, {}};
    if (version >= kTopicIdVersionMin) {
      const auto found = image.topic(topic.topic_id);
      if (found == nullptr) continue;
      topic.name = found->name;  // and so it is told from those that are unknown
      name = {found->name, found->id};
    }
    for (const std::int32_t index : topic.partition_indexes)
      fetch.partitions->push_back({name, index});
  }
  return question;
}

template <typename Partition>
Partition refused(std::int32_t index, ErrorCode code) {
  Partition partition;
  partition.partition_index = index;
  partition.committed_offset = -1;
  partition.metadata = "";
  partition.error_code = kafka_number(code);
  return partition;
}

/// The whole group was refused. Version 1 has no other place for that than its partitions.
void put_refusal(const Request::Group& wanted, ErrorCode code, std::int16_t version,
                 Response::Group& answer) {
  if (version >= kGroupErrorVersionMin) {
    answer.error_code = kafka_number(code);
    return;
  }
  for (const Request::GroupTopic& topic : *wanted.topics) {
    Response::GroupTopic& refused_topic = answer.topics.emplace_back();
    refused_topic.name = topic.name;
    for (const std::int32_t index : topic.partition_indexes)
      refused_topic.partitions.push_back(refused<Response::GroupPartition>(index, code));
  }
}

Response::Group view(const Request::Group& wanted, OffsetFetchOutcome outcome,
                     const metadata::Image& image, std::int16_t version) {
  const bool by_id = version >= kTopicIdVersionMin;
  Response::Group answer;
  answer.group_id = wanted.group_id;
  if (!outcome.status.ok()) {
    put_refusal(wanted, outcome.status.code, version, answer);
    return answer;
  }
  ByTopic<Response::GroupTopic> topics(answer.topics);
  for (OffsetFetchOutcome::Partition& found : outcome.partitions) {
    const auto with_id = [&](Response::GroupTopic& topic) {
      const auto known = by_id ? image.topic(found.topic.name) : nullptr;
      if (known != nullptr) topic.topic_id = known->id;
    };
    Response::GroupPartition& partition =
        topics.at(found.topic.name, with_id).partitions.emplace_back();
    partition.partition_index = found.partition;
    partition.committed_offset = found.committed.offset.value();
    partition.committed_leader_epoch = found.committed.leader_epoch;
    partition.metadata = std::move(found.committed.metadata);
    partition.error_code = kafka_number(found.code);
  }
  // What is committed for a topic that is gone cannot be told of by id.
  if (by_id) std::erase_if(answer.topics, [](const auto& t) { return t.topic_id.is_zero(); });
  if (!by_id || !wanted.topics) return answer;
  for (const Request::GroupTopic& topic : *wanted.topics) {
    if (!topic.name.empty()) continue;
    Response::GroupTopic& unknown = answer.topics.emplace_back();
    unknown.topic_id = topic.topic_id;
    for (const std::int32_t index : topic.partition_indexes)
      unknown.partitions.push_back(
          refused<Response::GroupPartition>(index, ErrorCode::kUnknownTopicId));
  }
  return answer;
}

/// The newer form of the answer in the older one.
void flatten(Response::Group group, Response& response) {
  response.error_code = group.error_code;
  for (Response::GroupTopic& from : group.topics) {
    Response::Topic& topic = response.topics.emplace_back();
    topic.name = std::move(from.name);
    for (Response::GroupPartition& partition : from.partitions) {
      topic.partitions.push_back({.partition_index = partition.partition_index,
                                  .committed_offset = partition.committed_offset,
                                  .committed_leader_epoch = partition.committed_leader_epoch,
                                  .metadata = std::move(partition.metadata),
                                  .error_code = partition.error_code});
    }
  }
}

void answer(const std::vector<Question>& questions, std::vector<OffsetFetchOutcome> outcomes,
            const metadata::Image& image, Call<Request> call) {
  Response response;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    response.groups.push_back(
        view(questions[i].wanted, std::move(outcomes[i]), image, call.version()));
  }
  if (call.version() < kGroupsVersionMin) flatten(std::move(response.groups.front()), response);
  call.answer(response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto questions = std::make_shared<std::vector<Question>>();
  for (Request::Group& group : wanted_groups(request, call.version()))
    questions->push_back(plan(std::move(group), shard.image(), call.version()));
  if (questions->empty()) return call.answer({});
  const auto gather = std::make_shared<Gather<OffsetFetchOutcome>>(
      questions->size(), [call = std::move(call), questions,
                          &shard](std::vector<OffsetFetchOutcome> outcomes) mutable {
        answer(*questions, std::move(outcomes), shard.image(), std::move(call));
      });
  for (std::size_t i = 0; i < questions->size(); ++i) {
    coordinator::OffsetFetch& fetch = (*questions)[i].fetch;
    fetch.require_stable = request.require_stable;
    service::fetch_offsets(shard, std::move(fetch), gather->reply(i));
  }
}

}  // namespace millrace::kafka
