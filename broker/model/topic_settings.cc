#include "broker/model/topic_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/model/compression.h"

namespace millrace::model {
namespace {

constexpr std::string_view kThrottledSuffix = ".replication.throttled.replicas";

/// "*", or elements PARTITION:BROKER.
bool throttled_replicas_fit(std::string_view value) {
  const std::vector<std::string> elements = parse_list(value);
  if (elements.size() == 1 && elements.front() == "*") return true;
  return std::all_of(elements.begin(), elements.end(), [](const std::string& element) {
    const std::size_t colon = element.find(':');
    if (colon == std::string::npos) return false;
    const auto digits = [](std::string_view text) {
      return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
    };
    const std::string_view text(element);
    return digits(text.substr(0, colon)) && digits(text.substr(colon + 1));
  });
}

/// The factor from a broker-level name's unit to the topic setting's milliseconds.
std::int64_t unit_factor(std::string_view broker_name) {
  if (broker_name.ends_with(".hours")) return 3'600'000;
  if (broker_name.ends_with(".minutes")) return 60'000;
  return 1;
}

/// A broker-level value in the topic setting's own unit.
std::string in_topic_unit(std::string_view broker_name, const std::string& value) {
  const std::int64_t factor = unit_factor(broker_name);
  if (factor == 1) return value;
  const auto number = parse_integer(value);
  if (!number || *number < 0) return value;
  return fmt::format("{}", *number * factor);
}

ConfigEntry resolve(const ConfigKey& key, const ConfigMap& overrides, const BrokerLayers& layers) {
  ConfigEntry entry{.key = &key,
                    .value = std::string(key.default_value),
                    .source = ConfigSource::kDefault,
                    .synonyms = {}};
  bool found = false;
  const auto add = [&](std::string name, std::string shown, std::string value,
                       ConfigSource source) {
    if (!found) {
      entry.value = std::move(value);
      entry.source = source;
      found = true;
    }
    entry.synonyms.push_back(
        {.name = std::move(name), .value = std::move(shown), .source = source});
  };
  if (const auto own = overrides.find(key.name); own != overrides.end()) {
    add(std::string(key.name), own->second, own->second, ConfigSource::kTopic);
  }
  for (const std::string& broker_name : parse_list(key.broker_names)) {
    for (ConfigSynonym& place : broker_value_places(broker_name, layers)) {
      std::string value = in_topic_unit(broker_name, place.value);
      add(std::move(place.name), std::move(place.value), std::move(value), place.source);
    }
  }
  if (!found || key.broker_names.empty()) {
    add(std::string(key.name), std::string(key.default_value), std::string(key.default_value),
        ConfigSource::kDefault);
  }
  return entry;
}

/// The value in force alone: what resolve() finds, without listing the other places.
std::string value_in_force(const ConfigKey& key, const ConfigMap& overrides,
                           const BrokerLayers& layers) {
  if (const auto own = overrides.find(key.name); own != overrides.end()) return own->second;
  for (std::string_view names = key.broker_names; !names.empty();) {
    const std::string_view name = names.substr(0, names.find(','));
    if (const auto value = broker_value(name, layers))
      return in_topic_unit(name, std::string(*value));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
  }
  return std::string(key.default_value);
}

/// Reads values in force by name. What does not parse leaves the field at its default.
class Reader {
 public:
  Reader(const ConfigMap& overrides, const BrokerLayers& layers)
      : overrides_(overrides), layers_(layers) {}
  std::string text(std::string_view name) const {
    const ConfigKey* const key = find_topic_key(name);
    CHECK(key != nullptr, "{} is not in the table", name);
    return value_in_force(*key, overrides_, layers_);
  }
  template <typename Integer>
  void read(std::string_view name, Integer& field) const {
    if (const auto value = parse_integer(text(name)); value && std::in_range<Integer>(*value)) {
      field = static_cast<Integer>(*value);
    }
  }
  void read(std::string_view name, double& field) const {
    if (const auto value = parse_decimal(text(name))) field = *value;
  }

 private:
  const ConfigMap& overrides_;
  const BrokerLayers& layers_;
};

}  // namespace

Result<void> check_topic_config(std::string_view name, std::string_view value) {
  const ConfigKey* const key = find_topic_key(name);
  if (key == nullptr) {
    const std::string_view nearest = nearest_name(topic_keys(), name);
    return Error{ErrorCode::kInvalidConfig,
                 nearest.empty() ? fmt::format("Unknown topic config name: {}", name)
                                 : fmt::format("Unknown topic config name: {} (did you mean {}?)",
                                               name, nearest)};
  }
  TRY(check_config_value(*key, value));
  if (name.ends_with(kThrottledSuffix) && !throttled_replicas_fit(value)) {
    return Error{
        ErrorCode::kInvalidConfig,
        fmt::format("Invalid value [{}] for configuration {}: {} must be the literal '*' or a list "
                    "of replicas in "
                    "the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    value, name, name)};
  }
  return common::ok();
}

Result<void> check_topic_configs(const ConfigMap& overrides) {
  for (const auto& [name, value] : overrides) TRY(check_topic_config(name, value));
  const TopicSettings settings = resolve_topic_settings(overrides, {});
  if (settings.min_compaction_lag_ms > settings.max_compaction_lag_ms) {
    return Error{
        ErrorCode::kInvalidConfig,
        fmt::format(
            "conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
            settings.min_compaction_lag_ms, settings.max_compaction_lag_ms)};
  }
  return common::ok();
}

TopicSettings resolve_topic_settings(const ConfigMap& overrides, const BrokerLayers& layers) {
  const Reader reader(overrides, layers);
  TopicSettings settings;
  reader.read("retention.ms", settings.retention_ms);
  reader.read("retention.bytes", settings.retention_bytes);
  reader.read("segment.bytes", settings.segment_bytes);
  reader.read("segment.ms", settings.segment_ms);
  reader.read("segment.jitter.ms", settings.segment_jitter_ms);
  reader.read("index.interval.bytes", settings.index_interval_bytes);
  reader.read("file.delete.delay.ms", settings.file_delete_delay_ms);
  reader.read("max.message.bytes", settings.max_message_bytes);
  reader.read("delete.retention.ms", settings.delete_retention_ms);
  reader.read("min.compaction.lag.ms", settings.min_compaction_lag_ms);
  reader.read("max.compaction.lag.ms", settings.max_compaction_lag_ms);
  reader.read("min.cleanable.dirty.ratio", settings.min_cleanable_dirty_ratio);
  reader.read("compression.gzip.level", settings.gzip_level);
  reader.read("compression.lz4.level", settings.lz4_level);
  reader.read("compression.zstd.level", settings.zstd_level);
  reader.read("message.timestamp.before.max.ms", settings.timestamp_before_ms_max);
  reader.read("message.timestamp.after.max.ms", settings.timestamp_after_ms_max);
  reader.read("min.insync.replicas", settings.min_insync_replicas);
  const std::vector<std::string> policy = parse_list(reader.text("cleanup.policy"));
  settings.delete_old = std::find(policy.begin(), policy.end(), "delete") != policy.end();
  settings.compact = std::find(policy.begin(), policy.end(), "compact") != policy.end();
  settings.compression = parse_compression(reader.text("compression.type"));
  if (reader.text("message.timestamp.type") == "LogAppendTime")
    settings.timestamp_type = TimestampType::kLogAppendTime;
  if (reader.text("flush.mode") == "relaxed") settings.flush_mode = FlushMode::kRelaxed;
  return settings;
}

std::vector<ConfigEntry> describe_topic_config(const ConfigMap& overrides,
                                               const BrokerLayers& layers) {
  std::vector<ConfigEntry> entries;
  entries.reserve(topic_keys().size());
  for (const ConfigKey& key : topic_keys()) entries.push_back(resolve(key, overrides, layers));
  return entries;
}

}  // namespace millrace::model
