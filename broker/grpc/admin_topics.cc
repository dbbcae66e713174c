#include <fmt/format.h>

#include <utility>

#include "broker/grpc/admin.h"
#include "broker/model/topic_name.h"
#include "broker/service/log_dirs.h"
#include "broker/service/offsets.h"
#include "broker/service/topics.h"

namespace millrace::grpc {
namespace {

using model::ErrorCode;
using model::PartitionIndex;

void fill(v1::TopicSummary& out, const metadata::Topic& topic) {
  out.set_name(topic.name);
  out.set_topic_id(topic.id.text());
  out.set_partitions(topic.partition_count());
  out.set_replication_factor(
      topic.partitions.empty() ? 0 : static_cast<std::int32_t>(topic.partitions[0].size()));
  out.set_internal(model::is_internal_topic(topic.name));
}

/// What DescribeTopic gathers: offsets of all partitions and their sizes.
struct Describing {
  std::shared_ptr<const metadata::Topic> topic;
  std::vector<service::OffsetAnswer> offsets;
};

void describe(service::Shard& shard, Describing gathered, v1::DescribeTopicResponse& response,
              UnaryAnswer answer) {
  service::describe_log_dirs(shard, [&shard, gathered = std::move(gathered), &response,
                                     answer](common::Result<service::LogDirs> dirs) {
    if (!dirs.ok()) return answer.fail(dirs.error());
    const metadata::Topic& topic = *gathered.topic;
    fill(*response.mutable_topic(), topic);
    for (const auto& [name, value] : topic.configs) (*response.mutable_configs())[name] = value;
    for (std::int32_t i = 0; i < topic.partition_count(); ++i) {
      v1::PartitionDescription& out = *response.add_partitions();
      const service::OffsetAnswer& last = gathered.offsets[static_cast<std::size_t>(2 * i) + 1];
      out.set_partition(i);
      out.set_leader(shard.identity().node.value());
      out.set_leader_epoch(last.leader_epoch.value());
      for (const model::BrokerId broker : topic.partitions[static_cast<std::size_t>(i)]) {
        out.add_replicas(broker.value());
        out.add_in_sync(broker.value());
      }
      out.set_log_start_offset(gathered.offsets[static_cast<std::size_t>(2 * i)].offset.value());
      out.set_high_watermark(last.offset.value());
    }
    for (const service::PartitionSize& size : dirs->partitions) {
      if (size.key.topic != topic.id || size.key.index.value() >= response.partitions_size())
        continue;
      response.mutable_partitions(size.key.index.value())
          ->set_size_bytes(static_cast<std::int64_t>(size.bytes));
    }
    answer.ok();
  });
}

}  // namespace

std::shared_ptr<const metadata::Topic> find_topic(const service::Shard& here,
                                                  const std::string& name,
                                                  const UnaryAnswer& answer) {
  auto topic = here.image().topic(name);
  if (topic == nullptr)
    answer.fail(ErrorCode::kUnknownTopicOrPartition, fmt::format("Topic {} does not exist", name));
  return topic;
}

::grpc::ServerUnaryReactor* Admin::CreateTopic(::grpc::CallbackServerContext* context,
                                               const v1::CreateTopicRequest* request,
                                               v1::CreateTopicResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    if (request->replication_factor() < 0 || request->replication_factor() > INT16_MAX ||
        request->partitions() < 0) {
      return answer.fail(ErrorCode::kInvalidRequest,
                         "partitions and replication_factor must be 0 (default) or more");
    }
    service::NewTopic topic{.name = request->name(), .assignments = {}, .configs = {}};
    if (request->partitions() > 0) topic.partitions = request->partitions();
    if (request->replication_factor() > 0) {
      topic.replication_factor = static_cast<std::int16_t>(request->replication_factor());
    }
    for (const auto& [name, value] : request->configs()) topic.configs.emplace_back(name, value);
    std::vector<service::NewTopic> topics;
    topics.push_back(std::move(topic));
    service::create_topics(
        shard, std::move(topics), request->validate_only(),
        [request, response, answer](std::vector<service::TopicOutcome> outcomes) {
          const service::TopicOutcome& outcome = outcomes.front();
          if (outcome.code != ErrorCode::kNone) return answer.fail(outcome.code, outcome.detail);
          response->set_name(outcome.name);
          if (!request->validate_only()) response->set_topic_id(outcome.id.text());
          response->set_partitions(outcome.partitions);
          response->set_replication_factor(outcome.replication_factor);
          answer.ok();
        });
  });
}

::grpc::ServerUnaryReactor* Admin::DeleteTopic(::grpc::CallbackServerContext* context,
                                               const v1::DeleteTopicRequest* request,
                                               v1::DeleteTopicResponse*) {
  return on_shard(context, dealer_, [request](service::Shard& shard, UnaryAnswer answer) {
    service::TopicRef topic{.id = {}, .name = request->name()};
    if (!request->topic_id().empty()) {
      const auto id = model::TopicId::parse(request->topic_id());
      if (!id)
        return answer.fail(ErrorCode::kInvalidRequest, "topic_id must be 22 characters of base64");
      topic.id = *id;
    }
    service::delete_topics(shard, {topic}, [answer](std::vector<service::TopicOutcome> outcomes) {
      if (outcomes.front().code != ErrorCode::kNone)
        return answer.fail(outcomes.front().code, outcomes.front().detail);
      answer.ok();
    });
  });
}

::grpc::ServerUnaryReactor* Admin::ListTopics(::grpc::CallbackServerContext* context,
                                              const v1::ListTopicsRequest* request,
                                              v1::ListTopicsResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    for (const auto& [name, topic] : shard.image().topics()) {
      if (request->include_internal() || !model::is_internal_topic(name))
        fill(*response->add_topics(), *topic);
    }
    answer.ok();
  });
}

::grpc::ServerUnaryReactor* Admin::DescribeTopic(::grpc::CallbackServerContext* context,
                                                 const v1::DescribeTopicRequest* request,
                                                 v1::DescribeTopicResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    const auto topic = find_topic(shard, request->name(), answer);
    if (topic == nullptr) return;
    std::vector<service::OffsetQuery> queries;
    for (std::int32_t i = 0; i < topic->partition_count(); ++i) {
      const service::PartitionRef target{topic->id, topic->name, PartitionIndex{i}};
      queries.push_back({.target = target, .at = service::kEarliest});
      queries.push_back({.target = target, .at = service::kLatest});
    }
    service::list_offsets(
        shard, std::move(queries), replica::Isolation::kReadUncommitted,
        [&shard, topic, response, answer](std::vector<service::OffsetAnswer> offsets) {
          describe(shard, {topic, std::move(offsets)}, *response, answer);
        });
  });
}

::grpc::ServerUnaryReactor* Admin::CreatePartitions(::grpc::CallbackServerContext* context,
                                                    const v1::CreatePartitionsRequest* request,
                                                    v1::CreatePartitionsResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    std::vector<service::MorePartitions> more{
        {.name = request->topic(), .count = request->partitions(), .assignments = {}}};
    service::create_partitions(
        shard, std::move(more), request->validate_only(),
        [request, response, answer](std::vector<service::TopicOutcome> outcomes) {
          const service::TopicOutcome& outcome = outcomes.front();
          if (outcome.code != ErrorCode::kNone) return answer.fail(outcome.code, outcome.detail);
          response->set_partitions(request->partitions());
          answer.ok();
        });
  });
}

}  // namespace millrace::grpc
