#include "broker/service/configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>

#include "broker/model/client_metrics_keys.h"
#include "broker/model/topic_settings.h"
#include "broker/service/in_turn.h"
#include "broker/service/logger_configs.h"
#include "broker/service/metadata_writer.h"

namespace millrace::service {
namespace {

using model::ErrorCode;

/// The broker a resource name stands for; nullopt: all of them (an empty name).
common::Result<std::optional<model::BrokerId>> broker_of(const std::string& name) {
  if (name.empty()) return std::optional<model::BrokerId>{};
  std::int32_t id = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc{} || end != name.data() + name.size()) {
    return common::Error{ErrorCode::kInvalidRequest,
                         fmt::format("Broker id must be an integer, but it is: {}", name)};
  }
  return std::optional<model::BrokerId>{model::BrokerId{id}};
}

ConfigEntry entry_of(const model::ConfigEntry& from, bool read_only) {
  ConfigEntry entry{.name = std::string(from.key->name),
                    .read_only = read_only,
                    .sensitive = from.key->sensitive,
                    .source = from.source,
                    .type = from.key->type,
                    .documentation = std::string(from.key->meaning)};
  if (!from.key->sensitive && !from.value.empty()) entry.value = from.value;
  // An empty list is a value, an empty word is none.
  if (!from.key->sensitive && from.value.empty() && from.key->type == ConfigType::kList)
    entry.value = "";
  for (const model::ConfigSynonym& synonym : from.synonyms) {
    entry.synonyms.push_back(
        {synonym.name,
         from.key->sensitive ? std::nullopt : std::optional<std::string>(synonym.value),
         synonym.source});
  }
  return entry;
}

bool wanted(const ConfigQuery& query, std::string_view name) {
  return !query.keys ||
         std::find(query.keys->begin(), query.keys->end(), name) != query.keys->end();
}

ConfigAnswer failed(ErrorCode code, std::string detail) {
  return {.code = code, .detail = std::move(detail)};
}

ConfigAnswer describe_topic(const Shard& here, const ConfigQuery& query) {
  const auto topic = here.image().topic(query.name);
  if (topic == nullptr) {
    return failed(ErrorCode::kUnknownTopicOrPartition,
                  fmt::format("Topic {} does not exist", query.name));
  }
  ConfigAnswer answer;
  answer.entries = topic_config_entries(here, topic->configs);
  std::erase_if(answer.entries,
                [&](const ConfigEntry& entry) { return !wanted(query, entry.name); });
  return answer;
}

ConfigAnswer describe_broker(const Shard& here, const ConfigQuery& query) {
  const auto broker = broker_of(query.name);
  if (!broker.ok()) return failed(broker.error().code, broker.error().detail);
  model::BrokerLayers layers = here.layers();
  if (*broker && **broker != here.identity().node) {
    return failed(ErrorCode::kInvalidRequest,
                  fmt::format("Unexpected broker id, expected {} or empty string, but received {}",
                              here.identity().node, query.name));
  }
  ConfigAnswer answer;
  for (const model::ConfigEntry& entry : model::describe_broker_config(layers)) {
    if (!wanted(query, entry.key->name)) continue;
    // The cluster-wide default holds only what was set for all brokers, as in Kafka.
    if (!*broker && entry.source != ConfigSource::kDynamicDefaultBroker) continue;
    answer.entries.push_back(entry_of(entry, entry.key->update == model::ConfigUpdate::kReadOnly));
  }
  return answer;
}

ConfigAnswer describe_client_metrics(const Shard& here, const ConfigQuery& query) {
  if (query.name.empty()) {
    return failed(ErrorCode::kInvalidRequest, "Client metrics subscription name must not be empty");
  }
  const auto& all = here.image().resource_configs(metadata::ResourceKind::kClientMetrics);
  const auto found = all.find(query.name);
  ConfigAnswer answer;
  for (const model::ConfigKey& key : model::client_metrics_keys()) {
    if (!wanted(query, key.name)) continue;
    model::ConfigEntry entry{.key = &key, .value = std::string(key.default_value)};
    if (found != all.end()) {
      if (const auto set = found->second.find(key.name); set != found->second.end()) {
        entry.value = set->second;
        entry.source = ConfigSource::kClientMetrics;
        entry.synonyms = {{std::string(key.name), set->second, ConfigSource::kClientMetrics}};
      }
    }
    answer.entries.push_back(entry_of(entry, false));
  }
  return answer;
}

/// A group has what the broker has for all: its settings can be seen and not changed.
ConfigAnswer describe_group(const Shard& here, const ConfigQuery& query) {
  if (query.name.empty()) return failed(ErrorCode::kInvalidRequest, "Group name must not be empty");
  ConfigAnswer answer;
  for (const std::string_view name :
       {"consumer.assignment.interval.ms", "consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms"}) {
    const std::string of_broker = fmt::format("group.{}", name);
    const auto places = model::broker_value_places(of_broker, here.layers());
    if (!wanted(query, name) || places.empty()) continue;
    ConfigEntry entry{.name = std::string(name),
                      .value = places.front().value,
                      .read_only = true,
                      .source = places.front().source,
                      .type = ConfigType::kInt};
    for (const model::ConfigSynonym& place : places)
      entry.synonyms.push_back({place.name, place.value, place.source});
    answer.entries.push_back(std::move(entry));
  }
  return answer;
}

common::Result<metadata::Decision<metadata::NoOutcome>> decide_client_metrics(
    const metadata::Image& image, const ConfigCommand& command, AlterStyle style) {
  TRY_ASSIGN(auto decision, metadata::decide(image, metadata::AlterClientMetrics{
                                                        command.resource, command.changes, style}));
  for (const metadata::Record& record : decision.records) {
    const auto* set = std::get_if<metadata::ResourceConfigSet>(&record);
    if (set != nullptr && set->name == model::kSubscriptionMatch && set->value)
      TRY(telemetry::parse_match(*set->value));
  }
  return decision;
}

common::Result<metadata::Decision<metadata::NoOutcome>> decide_config(const Shard& first,
                                                                      const metadata::Image& image,
                                                                      const ConfigCommand& command,
                                                                      AlterStyle style) {
  if (command.type == ResourceType::kTopic) {
    return metadata::decide(image,
                            metadata::AlterTopicConfigs{command.resource, command.changes, style},
                            first.layers());
  }
  if (command.type == ResourceType::kBroker) {
    TRY_ASSIGN(const auto broker, broker_of(command.resource));
    model::BrokerLayers layers = first.layers();
    // Lists are added to and taken from where they are, not here.
    if (broker) layers.dynamic_broker = &image.broker_config(*broker);
    return metadata::decide(image, metadata::AlterBrokerConfigs{broker, command.changes, style},
                            layers);
  }
  if (command.type == ResourceType::kClientMetrics)
    return decide_client_metrics(image, command, style);
  if (command.type == ResourceType::kGroup) {
    return common::Error{ErrorCode::kInvalidRequest,
                         "Single groups have no settings of their own: the broker's group.* hold "
                         "for all of them; nothing was changed."};
  }
  return common::Error{ErrorCode::kInvalidRequest,
                       fmt::format("Unexpected resource type {} for resource {}",
                                   static_cast<int>(command.type), command.resource)};
}

ConfigOutcome outcome_of(const common::Result<void>& altered) {
  return altered.ok() ? ConfigOutcome{}
                      : ConfigOutcome{altered.error().code, altered.error().detail};
}

void alter_one(Shard& here, ConfigCommand command, AlterStyle style, bool validate_only,
               common::Reply<ConfigOutcome> done) {
  // The levels of loggers are this process's own affair: no record tells of them.
  if (command.type == ResourceType::kBrokerLogger)
    return done(outcome_of(alter_loggers(here, command, style, validate_only)));
  MetadataWriter::decide_on<metadata::NoOutcome>(
      here,
      [&first = here.first(), command = std::move(command), style,
       validate_only](const metadata::Image& image) {
        auto decision = decide_config(first, image, command, style);
        if (decision.ok() && validate_only) decision->records.clear();
        return decision;
      },
      [done = std::move(done)](const common::Result<metadata::NoOutcome>& decided) mutable {
        done(outcome_of(decided.ok() ? common::ok() : common::Result<void>(decided.error())));
      });
}

}  // namespace

std::vector<ConfigEntry> topic_config_entries(const Shard& here,
                                              const model::ConfigMap& overrides) {
  std::vector<ConfigEntry> entries;
  for (const model::ConfigEntry& entry : model::describe_topic_config(overrides, here.layers()))
    entries.push_back(entry_of(entry, false));
  return entries;
}

common::Result<std::vector<ConfigResource>> list_config_resources(
    const Shard& here, const std::vector<ResourceType>& types) {
  constexpr std::array kTypes = {ResourceType::kGroup, ResourceType::kClientMetrics,
                                 ResourceType::kBrokerLogger, ResourceType::kBroker,
                                 ResourceType::kTopic};
  for (const ResourceType type : types) {
    if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end())
      return model::error(ErrorCode::kUnsupportedVersion);
  }
  std::vector<ConfigResource> resources;
  const auto add = [&](ResourceType type, const auto& names, const auto& name_of) {
    if (!types.empty() && std::find(types.begin(), types.end(), type) == types.end()) return;
    for (const auto& [key, value] : names) resources.push_back({type, name_of(key)});
  };
  const auto as_is = [](const std::string& name) { return name; };
  const auto as_text = [](model::BrokerId id) { return fmt::format("{}", id); };
  using metadata::ResourceKind;
  const metadata::Image& image = here.image();
  add(ResourceType::kGroup, image.resource_configs(ResourceKind::kGroup), as_is);
  add(ResourceType::kClientMetrics, image.resource_configs(ResourceKind::kClientMetrics), as_is);
  add(ResourceType::kBrokerLogger, image.brokers(), as_text);
  add(ResourceType::kBroker, image.brokers(), as_text);
  add(ResourceType::kTopic, image.topics(), as_is);
  return resources;
}

std::vector<ConfigAnswer> describe_configs(const Shard& here,
                                           const std::vector<ConfigQuery>& queries) {
  std::vector<ConfigAnswer> answers;
  for (const ConfigQuery& query : queries) {
    switch (query.type) {
      case ResourceType::kTopic:
        answers.push_back(describe_topic(here, query));
        break;
      case ResourceType::kBroker:
        answers.push_back(describe_broker(here, query));
        break;
      case ResourceType::kBrokerLogger:
        answers.push_back(describe_loggers(here, query));
        break;
      case ResourceType::kClientMetrics:
        answers.push_back(describe_client_metrics(here, query));
        break;
      case ResourceType::kGroup:
        answers.push_back(describe_group(here, query));
        break;
      default:
        answers.push_back(
            failed(ErrorCode::kInvalidRequest,
                   fmt::format("Unsupported resource type: {}", static_cast<int>(query.type))));
    }
  }
  return answers;
}

void alter_configs(Shard& here, std::vector<ConfigCommand> commands, AlterStyle style,
                   bool validate_only, common::Reply<std::vector<ConfigOutcome>> done) {
  in_turn<ConfigOutcome, ConfigCommand>(
      std::move(commands),
      [&here, style, validate_only](ConfigCommand command, common::Reply<ConfigOutcome> reply) {
        alter_one(here, std::move(command), style, validate_only, std::move(reply));
      },
      std::move(done));
}

}  // namespace millrace::service
