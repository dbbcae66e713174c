#include "broker/service/configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "broker/model/topic_settings.h"
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
    return metadata::decide(image, metadata::AlterBrokerConfigs{broker, command.changes, style},
                            first.layers());
  }
  return common::Error{ErrorCode::kInvalidRequest,
                       fmt::format("Unexpected resource type {} for resource {}",
                                   static_cast<int>(command.type), command.resource)};
}

/// The commands of one request, one after the other.
class Altering : public std::enable_shared_from_this<Altering> {
 public:
  Altering(Shard& here, std::vector<ConfigCommand> commands, AlterStyle style, bool validate_only,
           common::Reply<std::vector<ConfigOutcome>> done)
      : here_(here),
        commands_(std::move(commands)),
        style_(style),
        validate_only_(validate_only),
        done_(std::move(done)) {}

  void next() {
    if (outcomes_.size() == commands_.size()) return done_(std::move(outcomes_));
    MetadataWriter::decide_on<metadata::NoOutcome>(
        here_,
        [&first = here_.first(), command = commands_[outcomes_.size()], style = style_,
         validate_only = validate_only_](const metadata::Image& image) {
          auto decision = decide_config(first, image, command, style);
          if (decision.ok() && validate_only) decision->records.clear();
          return decision;
        },
        [self = shared_from_this()](common::Result<metadata::NoOutcome> decided) {
          self->outcomes_.push_back(
              decided.ok() ? ConfigOutcome{}
                           : ConfigOutcome{decided.error().code, decided.error().detail});
          self->next();
        });
  }

 private:
  Shard& here_;
  std::vector<ConfigCommand> commands_;
  AlterStyle style_;
  bool validate_only_;
  std::vector<ConfigOutcome> outcomes_;
  common::Reply<std::vector<ConfigOutcome>> done_;
};

}  // namespace

std::vector<ConfigEntry> topic_config_entries(const Shard& here,
                                              const model::ConfigMap& overrides) {
  std::vector<ConfigEntry> entries;
  for (const model::ConfigEntry& entry : model::describe_topic_config(overrides, here.layers()))
    entries.push_back(entry_of(entry, false));
  return entries;
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
        answers.push_back({});  // loggers cannot be changed one by one
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
  std::make_shared<Altering>(here, std::move(commands), style, validate_only, std::move(done))
      ->next();
}

}  // namespace millrace::service
