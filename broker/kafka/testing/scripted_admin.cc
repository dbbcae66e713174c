// Topics, settings and descriptions, as scripts ask for them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "broker/kafka/testing/scripted_client.h"
#include "broker/wire/messages/alter_configs.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/create_partitions.h"
#include "broker/wire/messages/delete_topics.h"
#include "broker/wire/messages/describe_cluster.h"
#include "broker/wire/messages/describe_configs.h"
#include "broker/wire/messages/describe_log_dirs.h"
#include "broker/wire/messages/describe_topic_partitions.h"
#include "broker/wire/messages/incremental_alter_configs.h"
#include "broker/wire/messages/metadata.h"

namespace millrace::kafka::testing {
namespace {

constexpr std::int8_t kDefaultSource = 5;

/// replicas=0,0 gives two partitions, each with one replica on broker 0.
std::vector<std::int32_t> replicas(const common::ScriptCommand& command) {
  std::vector<std::int32_t> brokers;
  std::string rest = command.value("replicas").value_or("");
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    brokers.push_back(std::stoi(rest.substr(0, comma)));
    rest.erase(0, comma == std::string::npos ? comma : comma + 1);
  }
  return brokers;
}

/// type=4 name=0 (a topic unless told otherwise).
template <typename Resource>
void name_resource(const common::ScriptCommand& command, Resource& resource) {
  resource.resource_type = static_cast<std::int8_t>(std::stoi(command.value("type").value_or("2")));
  resource.resource_name = command.value("name").value_or("");
}

/// One line per partition, as Metadata and DescribeTopicPartitions tell of it.
template <typename Topic>
std::string leaders_of(const Topic& topic) {
  std::string out;
  for (const auto& partition : topic.partitions) {
    out += fmt::format("  {} {} leader={} epoch={} replicas=[{}] in-sync=[{}] offline=[{}]\n",
                       partition.partition_index, shown(partition.error_code), partition.leader_id,
                       partition.leader_epoch, fmt::join(partition.replica_nodes, " "),
                       fmt::join(partition.isr_nodes, " "),
                       fmt::join(partition.offline_replicas, " "));
  }
  return out;
}

/// One line per resource that was altered, in either way.
template <typename Response>
std::string resource_outcomes(const Response& response) {
  std::string out;
  for (const auto& result : response.responses) {
    out += fmt::format("{} {}\n", result.resource_name,
                       shown(result.error_code, result.error_message));
  }
  return out;
}

}  // namespace

std::string ScriptedClient::api_versions(const Command& command, std::int16_t version) {
  wire::ApiVersionsRequest request{command.value("software").value_or("script"), "1.0"};
  const auto response = client_->call(request, version);
  std::string out = fmt::format("{} apis={}", shown(response.error_code),
                                response.api_keys.size() == wire::kApis.size() ? "all" : "none");
  for (const auto& feature : response.supported_features)
    out += fmt::format(" {}={}..{}", feature.name, feature.min_version, feature.max_version);
  for (const auto& feature : response.finalized_features)
    out += fmt::format(" {}={}", feature.name, feature.max_version_level);
  return out + "\n";
}

std::string ScriptedClient::metadata(const Command& command, std::int16_t version) {
  wire::MetadataRequest request;
  if (flag(command, "all")) request.topics.reset();
  request.allow_auto_topic_creation = flag(command, "create!");
  for (const Target& target : targets(command)) {
    auto& topic = request.topics->emplace_back();
    if (target.by_id) {
      topic.topic_id = target.id;
      topic.name.reset();
    } else {
      topic.name = target.name;
    }
  }
  std::string out;
  const auto response = client_->call(request, version);
  if (flag(command, "brokers")) {
    out += fmt::format("controller={}\n", response.controller_id);
    for (const auto& broker : response.brokers)
      out += fmt::format("  broker {} at {}:{}\n", broker.node_id, broker.host, broker.port);
  }
  for (const auto& topic : response.topics) {
    out += fmt::format("{} {} partitions={}", topic.name.value_or("null"), shown(topic.error_code),
                       topic.partitions.size());
    if (version >= 10) out += topic.topic_id.is_zero() ? " id=none" : " id=some";
    out += '\n';
    if (flag(command, "leaders")) out += leaders_of(topic);
  }
  return out;
}

std::string ScriptedClient::create(const Command& command, std::int16_t version) {
  wire::CreateTopicsRequest request;
  request.validate_only = flag(command, "validate");
  for (const Target& target : targets(command)) {
    auto& topic = request.topics.emplace_back();
    topic.name = target.name;
    topic.num_partitions = target.number.value_or(-1);
    topic.replication_factor = target.second.value_or(-1);
    for (const std::int32_t broker : replicas(command)) {
      const auto next = static_cast<std::int32_t>(topic.assignments.size());
      topic.assignments.push_back({next, {broker}});
    }
    if (const auto on = command.value("on")) {
      auto& assignment = topic.assignments.emplace_back();
      for (const std::string& broker : split(*on))
        assignment.broker_ids.push_back(std::stoi(broker));
    }
    for (const auto& [name, value] : pairs(command, "config"))
      topic.configs.push_back({name, value});
  }
  std::string out;
  for (const auto& topic : client_->call(request, version).topics) {
    out += fmt::format("{} {}", topic.name, shown(topic.error_code, topic.error_message));
    if (topic.error_code == 0 && !request.validate_only && version >= 7)
      ids_[topic.name] = topic.topic_id;
    if (version >= 5) {
      out +=
          fmt::format(" partitions={} replicas={}", topic.num_partitions, topic.replication_factor);
      for (const auto& config : *topic.configs) {
        if (config.config_source != kDefaultSource)
          out += fmt::format(" {}={}", config.name, config.value.value_or("null"));
      }
    }
    out += '\n';
  }
  return out;
}

std::string ScriptedClient::remove(const Command& command, std::int16_t version) {
  wire::DeleteTopicsRequest request;
  for (const Target& target : targets(command)) {
    if (version < 6) {
      request.topic_names.push_back(target.name);
    } else if (target.by_id) {
      request.topics.push_back({std::nullopt, target.id});
    } else {
      request.topics.push_back({target.name, {}});
    }
  }
  std::string out;
  for (const auto& topic : client_->call(request, version).responses) {
    out += fmt::format("{} {}\n", topic.name.value_or("null"),
                       shown(topic.error_code, topic.error_message));
  }
  return out;
}

std::string ScriptedClient::grow(const Command& command, std::int16_t version) {
  wire::CreatePartitionsRequest request;
  request.validate_only = flag(command, "validate");
  for (const Target& target : targets(command)) {
    auto& topic = request.topics.emplace_back();
    topic.name = target.name;
    topic.count = target.number.value_or(0);
    topic.assignments.reset();
    for (const std::int32_t broker : replicas(command)) {
      if (!topic.assignments) topic.assignments.emplace();
      topic.assignments->push_back({{broker}});
    }
  }
  std::string out;
  for (const auto& topic : client_->call(request, version).results)
    out += fmt::format("{} {}\n", topic.name, shown(topic.error_code, topic.error_message));
  return out;
}

std::string ScriptedClient::configs(const Command& command, std::int16_t version) {
  wire::DescribeConfigsRequest request;
  auto& resource = request.resources.emplace_back();
  name_resource(command, resource);
  request.include_synonyms = command.value("synonyms").has_value();
  resource.configuration_keys.reset();
  for (const auto& [name, unused] : pairs(command, "key")) {
    if (!resource.configuration_keys) resource.configuration_keys.emplace();
    resource.configuration_keys->push_back(name);
  }
  std::string out;
  for (const auto& result : client_->call(request, version).results) {
    out += fmt::format("{} {}\n", result.resource_name,
                       shown(result.error_code, result.error_message));
    if (!resource.configuration_keys) continue;
    for (const auto& config : result.configs) {
      out += fmt::format("  {}={} source={}{}", config.name, config.value.value_or("null"),
                         config.config_source, config.read_only ? " read-only" : "");
      if (version >= 3) out += fmt::format(" type={}", config.config_type);
      for (const auto& synonym : config.synonyms)
        out += fmt::format(" {}={}", synonym.name, synonym.value.value_or("null"));
      out += '\n';
    }
  }
  return out;
}

std::string ScriptedClient::alter(const Command& command, std::int16_t version) {
  wire::IncrementalAlterConfigsRequest request;
  request.validate_only = flag(command, "validate");
  auto& resource = request.resources.emplace_back();
  name_resource(command, resource);
  std::int8_t operation = 0;
  for (const char* word : {"set", "delete", "append", "subtract", "invent"}) {
    for (const auto& [name, value] : pairs(command, word))
      resource.configs.push_back({name, operation, value});
    ++operation;
  }
  return resource_outcomes(client_->call(request, version));
}

std::string ScriptedClient::replace_configs(const Command& command, std::int16_t version) {
  wire::AlterConfigsRequest request;
  request.validate_only = flag(command, "validate");
  auto& resource = request.resources.emplace_back();
  name_resource(command, resource);
  for (const auto& [name, value] : pairs(command, "set")) resource.configs.push_back({name, value});
  return resource_outcomes(client_->call(request, version));
}

std::string ScriptedClient::log_dirs(const Command& command, std::int16_t version) {
  wire::DescribeLogDirsRequest request;
  if (flag(command, "all")) request.topics.reset();
  for (const Target& target : targets(command)) {
    auto& topic = request.topics->emplace_back();
    topic.topic = target.name;
    topic.partitions.push_back(target.number.value_or(0));
  }
  const auto response = client_->call(request, version);
  std::string out;
  for (const auto& directory : response.results) {
    out += fmt::format("{} {}\n", directory.log_dir, shown(directory.error_code));
    for (const auto& topic : directory.topics) {
      for (const auto& partition : topic.partitions) {
        out += fmt::format("  {}:{} {}\n", topic.name, partition.partition_index,
                           partition.partition_size > 0 ? "holds records" : "is empty");
      }
    }
  }
  return out;
}

std::string ScriptedClient::cluster(const Command& command, std::int16_t version) {
  wire::DescribeClusterRequest request;
  request.endpoint_type = static_cast<std::int8_t>(number(command, "endpoints", 1));
  request.include_cluster_authorized_operations = command.value("operations").has_value();
  request.include_fenced_brokers = command.value("fenced").has_value();
  const auto response = client_->call(request, version);
  std::string out =
      fmt::format("{} cluster={} controller={}", shown(response.error_code, response.error_message),
                  response.cluster_id, response.controller_id);
  if (request.include_cluster_authorized_operations)
    out += fmt::format(" operations={}", response.cluster_authorized_operations);
  out += '\n';
  for (const auto& broker : response.brokers) {
    out += fmt::format("  broker {} at {}:{}", broker.broker_id, broker.host, broker.port);
    if (broker.rack) out += fmt::format(" rack={}", *broker.rack);
    if (broker.is_fenced) out += " fenced";
    out += '\n';
  }
  return out;
}

std::string ScriptedClient::describe(const Command& command, std::int16_t version) {
  wire::DescribeTopicPartitionsRequest request;
  request.response_partition_limit = static_cast<std::int32_t>(number(command, "limit", 2000));
  if (const auto cursor = command.value("cursor")) {
    const std::size_t colon = cursor->find(':');
    request.cursor.emplace();
    request.cursor->topic_name = cursor->substr(0, colon);
    request.cursor->partition_index = std::stoi(cursor->substr(colon + 1));
  }
  for (const Target& target : targets(command)) request.topics.push_back({target.name});
  const auto response = client_->call(request, version);
  std::string out;
  for (const auto& topic : response.topics) {
    std::vector<std::int32_t> indexes;
    for (const auto& partition : topic.partitions) indexes.push_back(partition.partition_index);
    out += fmt::format("{} {} [{}]\n", topic.name.value_or("null"), shown(topic.error_code),
                       fmt::join(indexes, " "));
    if (flag(command, "leaders")) out += leaders_of(topic);
  }
  if (response.next_cursor) {
    out += fmt::format("next {}:{}\n", response.next_cursor->topic_name,
                       response.next_cursor->partition_index);
  }
  return out;
}

}  // namespace millrace::kafka::testing
