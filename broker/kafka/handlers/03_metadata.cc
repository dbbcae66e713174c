// Metadata: brokers and topics, by name or (version 12 and later) by id; may create what a client
// names.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/model/topic_name.h"
#include "broker/service/topics.h"
#include "broker/wire/messages/metadata.h"

namespace millrace::kafka {
namespace {

using Request = wire::MetadataRequest;
using Response = wire::MetadataResponse;

constexpr std::int16_t kLookupByIdVersionMin = 12;
constexpr std::int16_t kListenerErrorVersionMin = 6;

/// One request while topics are being created for it.
struct Work {
  Call<Request> call;
  service::Shard& shard;
  Arrival arrival;
  Response response;
  bool operations = false;
  std::size_t missing = 1;
};

void fill(const Work& work, const metadata::Topic& topic, Response::Topic& answer) {
  answer.error_code = kafka_number(ErrorCode::kNone);
  answer.name = topic.name;
  answer.topic_id = topic.id;
  answer.is_internal = model::is_internal_topic(topic.name);
  if (work.operations) answer.topic_authorized_operations = kTopicOperations;
  answer.partitions.reserve(topic.partitions.size());
  for (std::int32_t i = 0; i < topic.partition_count(); ++i) {
    answer.partitions.push_back(partition_view<Response::Partition>(topic, i));
  }
}

Response::Topic refused(std::optional<std::string> name, const model::TopicId& id, ErrorCode code) {
  Response::Topic answer;
  answer.name = std::move(name);
  answer.topic_id = id;
  answer.error_code = kafka_number(code);
  return answer;
}

/// Version 0 has no list of offline replicas: it names those that live, and says so.
void leave_out_offline(Response& response) {
  for (Response::Topic& topic : response.topics) {
    for (Response::Partition& partition : topic.partitions) {
      const auto& offline = partition.offline_replicas;
      if (offline.empty()) continue;
      for (auto* nodes : {&partition.replica_nodes, &partition.isr_nodes}) {
        std::erase_if(*nodes, [&](std::int32_t node) {
          return std::find(offline.begin(), offline.end(), node) != offline.end();
        });
      }
      if (partition.error_code == kafka_number(ErrorCode::kNone))
        partition.error_code = kafka_number(ErrorCode::kReplicaNotAvailable);
    }
  }
}

/// Clients of old versions do not know that a leader may have no address on their listener.
void hide_listener_errors(Response& response) {
  for (Response::Topic& topic : response.topics) {
    for (Response::Partition& partition : topic.partitions) {
      if (partition.error_code == kafka_number(ErrorCode::kListenerNotFound))
        partition.error_code = kafka_number(ErrorCode::kLeaderNotAvailable);
    }
  }
}

void finished_one(const std::shared_ptr<Work>& work) {
  if (--work->missing > 0) return;
  const std::int16_t version = work->call.version();
  answer_with_leaders<Request>(work->shard, work->arrival, std::move(work->response),
                               std::move(work->call), [version](Response& response) {
                                 if (version < kListenerErrorVersionMin)
                                   hide_listener_errors(response);
                                 if (version == 0) leave_out_offline(response);
                               });
}

void create(const std::shared_ptr<Work>& work, std::size_t position, const std::string& name) {
  ++work->missing;
  service::auto_create_topic(work->shard, name, [work, position](service::TopicOutcome outcome) {
    Response::Topic& answer = work->response.topics[position];
    const auto topic = work->shard.image().topic(outcome.name);
    if (outcome.code == ErrorCode::kNone && topic != nullptr) {
      fill(*work, *topic, answer);
    } else {
      // Made, and gone again before it could be shown: the client asks anew.
      answer.error_code = kafka_number(
          outcome.code == ErrorCode::kNone ? ErrorCode::kLeaderNotAvailable : outcome.code);
    }
    finished_one(work);
  });
}

void find_by_name(const std::shared_ptr<Work>& work, const std::string& name, bool may_create) {
  auto& topics = work->response.topics;
  if (const auto topic = work->shard.image().topic(name))
    return fill(*work, *topic, topics.emplace_back());
  if (!model::check_topic_name(name).ok()) {
    topics.push_back(refused(name, {}, ErrorCode::kInvalidTopic));
    return;
  }
  topics.push_back(refused(name, {}, ErrorCode::kUnknownTopicOrPartition));
  if (may_create && !model::is_internal_topic(name)) create(work, topics.size() - 1, name);
}

void find_by_id(const std::shared_ptr<Work>& work, const model::TopicId& id) {
  auto& topics = work->response.topics;
  if (const auto topic = work->shard.image().topic(id))
    return fill(*work, *topic, topics.emplace_back());
  topics.push_back(refused(std::nullopt, id, ErrorCode::kUnknownTopicId));
}

void find_topics(const std::shared_ptr<Work>& work, const Request& request, std::int16_t version) {
  const bool all = !request.topics.has_value() || (version == 0 && request.topics->empty());
  if (all) {
    work->response.topics.reserve(work->shard.image().topics().size());
    for (const auto& [name, topic] : work->shard.image().topics()) {
      fill(*work, *topic, work->response.topics.emplace_back());
    }
    return;
  }
  const bool may_create =
      request.allow_auto_topic_creation && work->shard.settings().auto_create_topics;
  work->response.topics.reserve(request.topics->size());
  for (const Request::Topic& wanted : *request.topics) {
    if (version < kLookupByIdVersionMin &&
        (!wanted.name.has_value() || !wanted.topic_id.is_zero())) {
      // Versions 10 and 11 carry the id but could not answer with a null name.
      work->response.topics.push_back(
          refused(wanted.name.value_or(""), wanted.topic_id, ErrorCode::kInvalidRequest));
    } else if (!wanted.topic_id.is_zero()) {
      find_by_id(work, wanted.topic_id);
    } else if (wanted.name.has_value()) {
      find_by_name(work, *wanted.name, may_create);
    } else {
      work->response.topics.push_back(refused(std::nullopt, {}, ErrorCode::kUnknownTopicId));
    }
  }
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  const std::int16_t version = call.version();
  const Arrival arrival = call.arrival();
  auto work = std::make_shared<Work>(
      Work{std::move(call), shard, arrival, {}, request.include_topic_authorized_operations});
  for (BrokerView& broker : broker_views(shard, arrival)) {
    work->response.brokers.push_back(
        {broker.id, std::move(broker.host), broker.port, std::move(broker.rack)});
  }
  work->response.cluster_id = shard.identity().cluster_id;
  work->response.controller_id = controller_id(shard, arrival);
  if (request.include_cluster_authorized_operations) {
    work->response.cluster_authorized_operations = kClusterOperations;
  }
  find_topics(work, request, version);
  finished_one(work);
}

}  // namespace millrace::kafka
