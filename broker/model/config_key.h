// One setting as Kafka describes it: name, type, default, allowed values; and how a value is
// checked and read.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/errors.h"

namespace millrace::model {

/// Configuration as text, by name. Ordered, so that whatever walks it is deterministic.
using ConfigMap = std::map<std::string, std::string, std::less<>>;

/// Types with the numbers of DescribeConfigs.
enum class ConfigType : std::uint8_t {
  kBoolean = 1,
  kString = 2,
  kInt = 3,
  kShort = 4,
  kLong = 5,
  kDouble = 6,
  kList = 7,
  kClass = 8,
  kPassword = 9
};

/// Where a value comes from, with the numbers of DescribeConfigs.
enum class ConfigSource : std::uint8_t {
  kTopic = 1,
  kDynamicBroker = 2,
  kDynamicDefaultBroker = 3,
  kStaticBroker = 4,
  kDefault = 5,
  kBrokerLogger = 6,
  kClientMetrics = 7,
  kGroup = 8
};

/// Whether and how a broker setting may change while the broker runs (Kafka's update modes).
enum class ConfigUpdate : std::uint8_t { kReadOnly, kPerBroker, kClusterWide };

/// One row of the topic or broker table. All text is static.
struct ConfigKey {
  std::string_view name;
  ConfigType type = ConfigType::kString;
  /// Kafka's default (or ours) as text; empty also means "no value".
  std::string_view default_value;
  /// "ms", "bytes", "partitions" …, or empty.
  std::string_view unit;
  /// What it does, in one sentence.
  std::string_view meaning;
  /// Inclusive bounds of numbers.
  std::optional<double> low;
  std::optional<double> high;
  /// A single value outside the bounds that is allowed too (gzip's level -1).
  std::optional<double> also;
  /// The words allowed, '|' between them; empty: any. For lists: of each element.
  std::string_view words;
  /// False: accepted, stored and described, but nothing in this broker acts on it yet.
  bool effective = true;
  /// For topic settings: the broker-level names that give its default, nearest first, ',' between
  /// them.
  std::string_view broker_names;
  ConfigUpdate update = ConfigUpdate::kReadOnly;
  bool sensitive = false;
};

/// kInvalidConfig with Kafka's wording, "Invalid value x for configuration retention.ms: …", unless
/// `value` fits.
Result<void> check_config_value(const ConfigKey& key, std::string_view value);

/// Numbers and booleans out of a text that check_config_value accepted; nullopt for anything else.
std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<double> parse_decimal(std::string_view text);
std::optional<bool> parse_boolean(std::string_view text);
/// Elements of a Kafka list: split at commas, trimmed, empty ones dropped.
std::vector<std::string> parse_list(std::string_view text);
std::string join_list(const std::vector<std::string>& elements);

/// The row of this name, or nullptr.
const ConfigKey* find_key(std::span<const ConfigKey> table, std::string_view name);
/// The name with the smallest edit distance, for "did you mean"; empty when nothing is near.
std::string_view nearest_name(std::span<const ConfigKey> table, std::string_view name);

}  // namespace millrace::model
