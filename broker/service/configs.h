// Use cases: see and change the configuration of topics and brokers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/service/shard.h"

namespace millrace::service {

/// Kafka's numbers for kinds of resources.
enum class ResourceType : std::int8_t { kUnknown = 0, kTopic = 2, kBroker = 4, kBrokerLogger = 8, kClientMetrics = 16, kGroup = 32 };

/// Kafka's numbers for where a value comes from, nearest first.
enum class ConfigSource : std::int8_t {
  kUnknown = 0, kTopic = 1, kDynamicBroker = 2, kDynamicDefaultBroker = 3, kStaticBroker = 4, kDefault = 5, kDynamicBrokerLogger = 6
};

/// Kafka's numbers for types of values.
enum class ConfigType : std::int8_t {
  kUnknown = 0, kBoolean = 1, kString = 2, kInt = 3, kShort = 4, kLong = 5, kDouble = 6, kList = 7, kClass = 8, kPassword = 9
};

struct ConfigSynonym {
  std::string name;
  std::optional<std::string> value;
  ConfigSource source = ConfigSource::kUnknown;
};

struct ConfigEntry {
  std::string name;
  /// nullopt: no value, or a secret that is not shown.
  std::optional<std::string> value;
  bool read_only = false;
  bool sensitive = false;
  ConfigSource source = ConfigSource::kDefault;
  ConfigType type = ConfigType::kUnknown;
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

/// From this shard's image; needs no waiting.
std::vector<ConfigAnswer> describe_configs(const Shard& here, const std::vector<ConfigQuery>& queries);

/// Kafka's numbers for kinds of changes.
enum class ConfigOperation : std::int8_t { kSet = 0, kDelete = 1, kAppend = 2, kSubtract = 3 };

struct ConfigChange {
  std::string name;
  ConfigOperation operation = ConfigOperation::kSet;
  std::optional<std::string> value;
};

struct ConfigCommand {
  ResourceType type = ResourceType::kTopic;
  std::string resource;
  std::vector<ConfigChange> changes;
};

struct ConfigOutcome {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
};

/// kReplace: the named values become the resource's only overrides (AlterConfigs). kIncremental: only these change.
enum class AlterMode : std::uint8_t { kReplace, kIncremental };

/// Each resource changes whole or not at all. Outcomes in the order of the commands.
void alter_configs(Shard& here, std::vector<ConfigCommand> commands, AlterMode mode, bool validate_only,
                   common::Reply<std::vector<ConfigOutcome>> done);

}  // namespace millrace::service
