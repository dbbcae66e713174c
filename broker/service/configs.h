// Use cases: see and change the configuration of topics and brokers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/metadata/machine.h"
#include "broker/model/config_key.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// Kafka's numbers for kinds of resources.
enum class ResourceType : std::int8_t {
  kUnknown = 0,
  kTopic = 2,
  kBroker = 4,
  kBrokerLogger = 8,
  kClientMetrics = 16,
  kGroup = 32
};

using model::ConfigSource;
using model::ConfigType;

struct ConfigSynonym {
  std::string name;
  std::optional<std::string> value;
  ConfigSource source = ConfigSource::kDefault;
};

struct ConfigEntry {
  std::string name;
  /// nullopt: no value, or a secret that is not shown.
  std::optional<std::string> value;
  bool read_only = false;
  bool sensitive = false;
  ConfigSource source = ConfigSource::kDefault;
  ConfigType type = ConfigType::kString;
  std::string documentation;
  /// Where else the value could come from, nearest first, itself included.
  std::vector<ConfigSynonym> synonyms;
};

struct ConfigQuery {
  ResourceType type = ResourceType::kTopic;
  /// Topic name; broker id in decimal, or empty for the cluster-wide default of brokers.
  std::string name;
  /// Only these; nullopt: all.
  std::optional<std::vector<std::string>> keys;
};

struct ConfigAnswer {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
  std::vector<ConfigEntry> entries;
};

/// A thing that has settings.
struct ConfigResource {
  ResourceType type = ResourceType::kTopic;
  std::string name;
};
/// By type and name, from this shard's image; no types: of all types. kUnsupportedVersion: a type
/// that is not known.
common::Result<std::vector<ConfigResource>> list_config_resources(
    const Shard& here, const std::vector<ResourceType>& types);

/// From this shard's image; needs no waiting.
std::vector<ConfigAnswer> describe_configs(const Shard& here,
                                           const std::vector<ConfigQuery>& queries);

/// All settings of a topic with these overrides, be it made or not.
std::vector<ConfigEntry> topic_config_entries(const Shard& here, const model::ConfigMap& overrides);

using metadata::AlterStyle;
using metadata::ConfigChange;

struct ConfigCommand {
  ResourceType type = ResourceType::kTopic;
  std::string resource;
  std::vector<ConfigChange> changes;
};

struct ConfigOutcome {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
};

/// Each resource changes whole or not at all. Outcomes in the order of the commands.
void alter_configs(Shard& here, std::vector<ConfigCommand> commands, AlterStyle style,
                   bool validate_only, common::Reply<std::vector<ConfigOutcome>> done);

}  // namespace millrace::service
