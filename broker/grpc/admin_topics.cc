#include <fmt/format.h>

#include <utility>

#include "broker/grpc/admin.h"
#include "broker/model/topic_name.h"
#include "broker/service/cluster_report.h"
#include "broker/service/partition_facts.h"
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

void fill(v1::PartitionDescription& out, const service::PartitionReport& partition,
          const std::optional<service::PartitionFacts>& facts) {
  out.set_partition(partition.key.index.value());
  out.set_leader(partition.leader.value());
  for (const model::BrokerId broker : partition.replicas) out.add_replicas(broker.value());
  for (const model::BrokerId broker : partition.in_sync) out.add_in_sync(broker.value());
  for (const model::BrokerId broker : partition.target) out.add_target(broker.value());
  out.set_log_start_offset(facts ? facts->log_start.value() : -1);
  out.set_high_watermark(facts ? facts->end.value() : -1);
  out.set_size_bytes(facts ? facts->bytes : -1);
}

constexpr int kNewTopicsMax = 1000;

/// CreateTopicRequest or NewTopic: the same fields.
template <typename Wanted>
common::Result<service::NewTopic> new_topic(const Wanted& wanted) {
  if (wanted.replication_factor() < 0 || wanted.replication_factor() > INT16_MAX ||
      wanted.partitions() < 0) {
    return common::Error{ErrorCode::kInvalidRequest,
                         "partitions and replication_factor must be 0 (default) or more"};
  }
  service::NewTopic topic{.name = wanted.name(), .assignments = {}, .configs = {}};
  if (wanted.partitions() > 0) topic.partitions = wanted.partitions();
  if (wanted.replication_factor() > 0)
    topic.replication_factor = static_cast<std::int16_t>(wanted.replication_factor());
  for (const auto& [name, value] : wanted.configs()) topic.configs.emplace_back(name, value);
  return topic;
}

void fill(v1::NewTopicOutcome& out, const service::TopicOutcome& outcome, bool validate_only) {
  out.set_name(outcome.name);
  if (outcome.code != ErrorCode::kNone) {
    out.set_error(error_name(outcome.code));
    const ::grpc::Status status = to_status(outcome.code, outcome.detail);
    out.set_status(status.error_code());
    out.set_error_message(status.error_message());
    return;
  }
  if (!validate_only) out.set_topic_id(outcome.id.text());
  out.set_partitions(outcome.partitions);
  out.set_replication_factor(outcome.replication_factor);
}

/// What DescribeTopic gathers. Lives on the asking shard's loop.
struct Describing {
  std::shared_ptr<const metadata::Topic> topic;
  std::vector<model::PartitionKey> keys;
  std::vector<service::KnownLeader> leaders;
  std::vector<service::PartitionReport> partitions;
};

void describe(const Describing& gathered,
              const std::vector<std::optional<service::PartitionFacts>>& facts,
              v1::DescribeTopicResponse& response) {
  const metadata::Topic& topic = *gathered.topic;
  fill(*response.mutable_topic(), topic);
  for (const auto& [name, value] : topic.configs) (*response.mutable_configs())[name] = value;
  for (const service::PartitionReport& partition : gathered.partitions) {
    const auto index = static_cast<std::size_t>(partition.key.index.value());
    if (index >= facts.size()) continue;  // added since
    v1::PartitionDescription& out = *response.add_partitions();
    fill(out, partition, facts[index]);
    out.set_leader_epoch(gathered.leaders[index].epoch.value());
  }
}

void describe_topic(service::Shard& shard, std::shared_ptr<const metadata::Topic> topic,
                    v1::DescribeTopicResponse& response, const UnaryAnswer& answer) {
  auto gathered = std::make_shared<Describing>();
  gathered->topic = std::move(topic);
  for (std::int32_t i = 0; i < gathered->topic->partition_count(); ++i)
    gathered->keys.push_back({gathered->topic->id, PartitionIndex{i}});
  auto with_leaders = [&shard, gathered, &response,
                       answer](std::vector<service::KnownLeader> leaders) {
    gathered->leaders = std::move(leaders);
    service::partition_facts(
        shard, gathered->keys,
        [gathered, &response, answer](std::vector<std::optional<service::PartitionFacts>> facts) {
          describe(*gathered, facts, response);
          answer.ok();
        });
  };
  service::report_cluster(shard, [&shard, gathered, with_leaders = std::move(with_leaders)](
                                     service::ClusterReport report) mutable {
    for (service::PartitionReport& partition : report.partitions) {
      if (partition.key.topic == gathered->topic->id)
        gathered->partitions.push_back(std::move(partition));
    }
    service::known_leaders(shard, gathered->keys, std::move(with_leaders));
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
    auto topic = new_topic(*request);
    if (!topic.ok()) return answer.fail(topic.error());
    std::vector<service::NewTopic> topics;
    topics.push_back(*std::move(topic));
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

::grpc::ServerUnaryReactor* Admin::CreateTopics(::grpc::CallbackServerContext* context,
                                                const v1::CreateTopicsRequest* request,
                                                v1::CreateTopicsResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    if (request->topics_size() > kNewTopicsMax) {
      return answer.fail(ErrorCode::kInvalidRequest,
                         fmt::format("{} topics at once; at most {} are taken",
                                     request->topics_size(), kNewTopicsMax));
    }
    std::vector<service::NewTopic> topics;
    for (const v1::NewTopic& wanted : request->topics()) {
      auto topic = new_topic(wanted);
      if (!topic.ok()) return answer.fail(topic.error());
      topics.push_back(*std::move(topic));
    }
    service::create_topics(
        shard, std::move(topics), request->validate_only(),
        [request, response, answer](const std::vector<service::TopicOutcome>& outcomes) {
          for (const service::TopicOutcome& outcome : outcomes)
            fill(*response->add_topics(), outcome, request->validate_only());
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
      if (!request->include_internal() && model::is_internal_topic(name)) continue;
      v1::TopicSummary& summary = *response->add_topics();
      fill(summary, *topic);
      if (!request->with_configs()) continue;
      for (const auto& [setting, value] : topic->configs)
        (*summary.mutable_configs())[setting] = value;
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
    describe_topic(shard, topic, *response, answer);
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
