// The settings of a topic: Kafka's names and defaults, ours beside them, and the typed values in
// force.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "broker/model/batch.h"
#include "broker/model/broker_settings.h"
#include "broker/model/config_key.h"

namespace millrace::model {

/// Every topic setting, sorted by name.
std::span<const ConfigKey> topic_keys();
const ConfigKey* find_topic_key(std::string_view name);

/// kInvalidConfig with Kafka's wording: unknown name, or a value that does not fit.
Result<void> check_topic_config(std::string_view name, std::string_view value);
/// All of a topic's overrides together: each alone, and the relations between them.
Result<void> check_topic_configs(const ConfigMap& overrides);

/// What an acknowledged write survives.
enum class FlushMode : std::uint8_t {
  kStrict,   // on disk of a majority before the answer
  kRelaxed,  // in memory of a majority, as Kafka's default; written behind
};

/// The values in force for one topic. -1 in a retention field: no limit.
struct TopicSettings {
  std::int64_t retention_ms = 604'800'000;
  std::int64_t retention_bytes = -1;
  std::int32_t segment_bytes = 1'073'741'824;
  std::int64_t segment_ms = 604'800'000;
  std::int64_t segment_jitter_ms = 0;
  std::int32_t index_interval_bytes = 4096;
  std::int64_t file_delete_delay_ms = 60'000;
  std::int32_t max_message_bytes = 1'048'588;
  bool delete_old = true;  // cleanup.policy has "delete"
  bool compact = false;    // cleanup.policy has "compact"
  std::int64_t delete_retention_ms = 86'400'000;
  std::int64_t min_compaction_lag_ms = 0;
  std::int64_t max_compaction_lag_ms = INT64_MAX;
  double min_cleanable_dirty_ratio = 0.5;
  /// nullopt: keep what the producer chose ("producer").
  std::optional<Compression> compression;
  int gzip_level = -1;
  int lz4_level = 9;
  int zstd_level = 3;
  TimestampType timestamp_type = TimestampType::kCreateTime;
  std::int64_t timestamp_before_ms_max = INT64_MAX;
  std::int64_t timestamp_after_ms_max = 3'600'000;
  std::int32_t min_insync_replicas = 1;
  FlushMode flush_mode = FlushMode::kStrict;
  bool operator==(const TopicSettings&) const = default;
};

/// Resolves overrides over broker-level values over defaults. Never fails: a value that does not
/// parse is skipped.
TopicSettings resolve_topic_settings(const ConfigMap& overrides, const BrokerLayers& layers);
/// Every topic setting as it is now, in name order, with its synonyms. For DescribeConfigs.
std::vector<ConfigEntry> describe_topic_config(const ConfigMap& overrides,
                                               const BrokerLayers& layers);

}  // namespace millrace::model
