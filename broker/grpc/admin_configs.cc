#include <charconv>
#include <utility>

#include "broker/grpc/admin.h"
#include "broker/grpc/admin_calls.h"
#include "broker/service/configs.h"

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

void describe_configs(service::Shard& shard, const v1::DescribeConfigsRequest& request,
                      v1::DescribeConfigsResponse& response, const UnaryAnswer& answer) {
  const auto type = resource_type(request.type());
  if (!type.ok()) return answer.fail(type.error());
  service::ConfigQuery query{.type = *type, .name = request.name(), .keys = std::nullopt};
  if (request.keys_size() > 0) query.keys.emplace(request.keys().begin(), request.keys().end());
  const std::vector<service::ConfigAnswer> answers = service::describe_configs(shard, {query});
  if (answers.front().code != ErrorCode::kNone)
    return answer.fail(answers.front().code, answers.front().detail);
  for (const service::ConfigEntry& entry : answers.front().entries) {
    v1::Config& out = *response.add_configs();
    out.set_name(entry.name);
    if (entry.value) out.set_value(*entry.value);
    out.set_source(source_name(entry.source));
    out.set_read_only(entry.read_only);
    out.set_sensitive(entry.sensitive);
    out.set_documentation(entry.documentation);
  }
  answer.ok();
}

/// What a broker was started with is known to itself only. -1: any broker can answer.
model::BrokerId who_knows(const service::Shard& shard, const v1::DescribeConfigsRequest& request) {
  std::int32_t id = -1;
  const std::string& name = request.name();
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  const bool whole = error == std::errc{} && end == name.data() + name.size();
  if (request.type() != v1::RESOURCE_TYPE_BROKER || !whole) return model::BrokerId{-1};
  const model::BrokerId broker{id};
  return shard.alive(broker) ? broker : model::BrokerId{-1};
}

}  // namespace

const Forwardable<v1::DescribeConfigsRequest, v1::DescribeConfigsResponse> kDescribeConfigs{
    "DescribeConfigs", describe_configs};

::grpc::ServerUnaryReactor* Admin::DescribeConfigs(::grpc::CallbackServerContext* context,
                                                   const v1::DescribeConfigsRequest* request,
                                                   v1::DescribeConfigsResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        run_at(shard, who_knows(shard, *request), kDescribeConfigs, *request, *response, answer);
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

}  // namespace millrace::grpc
