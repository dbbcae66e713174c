#include <utility>

#include "broker/grpc/admin.h"
#include "broker/service/configs.h"
#include "broker/service/log_dirs.h"

namespace millrace::grpc {
namespace {

using model::ErrorCode;

common::Result<service::ResourceType> resource_type(v1::ResourceType type) {
  switch (type) {
    case v1::RESOURCE_TYPE_TOPIC:
      return service::ResourceType::kTopic;
    case v1::RESOURCE_TYPE_BROKER:
      return service::ResourceType::kBroker;
    default:
      return common::Error{ErrorCode::kInvalidRequest,
                           "type must be RESOURCE_TYPE_TOPIC or RESOURCE_TYPE_BROKER"};
  }
}

const char* source_name(service::ConfigSource source) {
  switch (source) {
    case service::ConfigSource::kTopic:
      return "topic";
    case service::ConfigSource::kDynamicBroker:
      return "dynamic-broker";
    case service::ConfigSource::kDynamicDefaultBroker:
      return "dynamic-default";
    case service::ConfigSource::kStaticBroker:
      return "static";
    case service::ConfigSource::kDefault:
      return "default";
    case service::ConfigSource::kBrokerLogger:
      return "logger";
    case service::ConfigSource::kClientMetrics:
      return "client-metrics";
    case service::ConfigSource::kGroup:
      return "group";
  }
  return "unknown";
}

/// An advertised address for people: one without a host (each Kafka client is told the address it
/// came to) shows as where the broker listens.
std::string shown(env::Endpoint advertised, const model::ListenAddress& listening) {
  if (advertised.host.empty())
    advertised.host = listening.host.empty() ? "0.0.0.0" : listening.host;
  return advertised.text();
}

}  // namespace

::grpc::ServerUnaryReactor* Admin::DescribeConfigs(::grpc::CallbackServerContext* context,
                                                   const v1::DescribeConfigsRequest* request,
                                                   v1::DescribeConfigsResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    const auto type = resource_type(request->type());
    if (!type.ok()) return answer.fail(type.error());
    service::ConfigQuery query{.type = *type, .name = request->name(), .keys = std::nullopt};
    if (request->keys_size() > 0)
      query.keys.emplace(request->keys().begin(), request->keys().end());
    const std::vector<service::ConfigAnswer> answers = service::describe_configs(shard, {query});
    if (answers.front().code != ErrorCode::kNone)
      return answer.fail(answers.front().code, answers.front().detail);
    for (const service::ConfigEntry& entry : answers.front().entries) {
      v1::Config& out = *response->add_configs();
      out.set_name(entry.name);
      if (entry.value) out.set_value(*entry.value);
      out.set_source(source_name(entry.source));
      out.set_read_only(entry.read_only);
      out.set_sensitive(entry.sensitive);
      out.set_documentation(entry.documentation);
    }
    answer.ok();
  });
}

::grpc::ServerUnaryReactor* Admin::AlterConfigs(::grpc::CallbackServerContext* context,
                                                const v1::AlterConfigsRequest* request,
                                                v1::AlterConfigsResponse*) {
  return on_shard(context, dealer_, [request](service::Shard& shard, UnaryAnswer answer) {
    const auto type = resource_type(request->type());
    if (!type.ok()) return answer.fail(type.error());
    service::ConfigCommand command{.type = *type, .resource = request->name(), .changes = {}};
    for (const v1::ConfigChange& change : request->changes()) {
      if (!v1::ConfigOperation_IsValid(change.operation())) {
        return answer.fail(ErrorCode::kInvalidRequest, "unknown operation for " + change.name());
      }
      // The numbers of the native API are Kafka's.
      command.changes.push_back({change.name(),
                                 static_cast<service::ConfigChange::Operation>(change.operation()),
                                 change.value()});
    }
    std::vector<service::ConfigCommand> commands;
    commands.push_back(std::move(command));
    service::alter_configs(shard, std::move(commands), service::AlterStyle::kIncremental,
                           request->validate_only(),
                           [answer](std::vector<service::ConfigOutcome> outcomes) {
                             if (outcomes.front().code != ErrorCode::kNone) {
                               return answer.fail(outcomes.front().code, outcomes.front().detail);
                             }
                             answer.ok();
                           });
  });
}

::grpc::ServerUnaryReactor* Admin::DescribeCluster(::grpc::CallbackServerContext* context,
                                                   const v1::DescribeClusterRequest*,
                                                   v1::DescribeClusterResponse* response) {
  return on_shard(context, dealer_, [response](service::Shard& shard, UnaryAnswer answer) {
    service::describe_log_dirs(shard, [&shard, response,
                                       answer](common::Result<service::LogDirs> dirs) {
      if (!dirs.ok()) return answer.fail(dirs.error());
      const service::Identity& identity = shard.identity();
      response->set_cluster_id(identity.cluster_id);
      response->set_controller(identity.node.value());
      v1::Broker& broker = *response->add_brokers();
      broker.set_id(identity.node.value());
      broker.set_kafka_endpoint(shown(identity.kafka_advertised, shard.settings().kafka_listen));
      broker.set_grpc_endpoint(shown(identity.grpc_advertised, shard.settings().grpc_listen));
      broker.set_rack(shard.settings().rack);
      broker.set_directory_id(identity.directory.text());
      broker.set_version(identity.version);
      response->set_topics(static_cast<std::int64_t>(shard.image().topics().size()));
      response->set_partitions(shard.image().partition_total());
      std::uint64_t bytes = 0;
      for (const service::PartitionSize& size : dirs->partitions) bytes += size.bytes;
      response->set_log_bytes(static_cast<std::int64_t>(bytes));
      response->set_disk_free_bytes(static_cast<std::int64_t>(dirs->space.free));
      response->set_disk_total_bytes(static_cast<std::int64_t>(dirs->space.total));
      answer.ok();
    });
  });
}

}  // namespace millrace::grpc
