// The broker's own settings: one table for the config file, flags, environment, `millrace config`,
// DescribeConfigs and AlterConfigs; and the typed values the modules use.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/config_key.h"

namespace millrace::model {

/// Every broker setting, sorted by name.
std::span<const ConfigKey> broker_keys();
const ConfigKey* find_broker_key(std::string_view name);

/// The sources of broker-level values, nearest first. The maps are borrowed; null: empty.
struct BrokerLayers {
  /// Set at run time for this broker alone.
  const ConfigMap* dynamic_broker = nullptr;
  /// Set at run time for the whole cluster.
  const ConfigMap* dynamic_default = nullptr;
  /// From file, environment and flags at start.
  const ConfigMap* from_start = nullptr;
};

/// One place where a value is set.
struct ConfigSynonym {
  std::string name;
  std::string value;
  ConfigSource source = ConfigSource::kDefault;
  bool operator==(const ConfigSynonym&) const = default;
};

/// A setting with its value in force and every place that sets it, nearest first (synonyms[0] is in
/// force).
struct ConfigEntry {
  const ConfigKey* key = nullptr;
  std::string value;
  ConfigSource source = ConfigSource::kDefault;
  std::vector<ConfigSynonym> synonyms;
};

/// The value in force, as a view into a layer or the table; nullopt: unknown name, or nothing set
/// and no default.
std::optional<std::string_view> broker_value(std::string_view name, const BrokerLayers& layers);
/// Where `name` is set, nearest first; ends with the table's default if it has one. Empty for an
/// unknown name.
std::vector<ConfigSynonym> broker_value_places(std::string_view name, const BrokerLayers& layers);
/// Every broker setting as it is now, in name order. For DescribeConfigs and `millrace config`.
std::vector<ConfigEntry> describe_broker_config(const BrokerLayers& layers);

/// kInvalidConfig: unknown name (the text gives the nearest known one) or a value that does not
/// fit.
Result<void> check_broker_config(std::string_view name, std::string_view value);
/// As above, and the setting must be changeable at run time for one broker (`whole_cluster` false)
/// or for all. kInvalidRequest as Kafka when it is not.
enum class DynamicScope : std::uint8_t { kOneBroker, kWholeCluster };
Result<void> check_dynamic_broker_config(std::string_view name, std::string_view value,
                                         DynamicScope scope);

/// An address to listen on. Port 0: a free one.
struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const ListenAddress&) const = default;
};
/// "HOST:PORT" or "[V6]:PORT". kInvalidConfig otherwise.
Result<ListenAddress> parse_listen_address(std::string_view text);

/// The values in force, typed. Units are in the names or Kafka's (see the table).
struct BrokerSettings {
  std::string data_dir;
  std::int32_t node_id = 0;
  std::string cluster_id;   // empty: made when the directory is formatted
  std::int32_t shards = 0;  // 0: one per core
  std::string rack;
  ListenAddress kafka_listen;
  ListenAddress internal_listen;
  ListenAddress grpc_listen;
  ListenAddress http_listen;
  /// What clients are told to connect to; empty host: the listen address, as seen by the client.
  ListenAddress kafka_advertised;
  ListenAddress grpc_advertised;
  std::string log_format;  // "text" or "json"
  std::string log_level;

  bool auto_create_topics = true;
  bool delete_topics = true;
  std::int32_t num_partitions = 1;
  std::int16_t default_replication_factor = 1;
  std::int32_t partitions_per_shard_max = 0;
  std::int64_t retention_check_interval_ms = 0;
  bool compaction_enabled = true;
  std::int64_t compaction_check_interval_ms = 0;
  std::int64_t compaction_map_bytes = 0;  // of all shards
  double compaction_bytes_per_second_max = 0;
  std::int32_t fetch_bytes_max = 0;
  std::int32_t fetch_session_slots_max = 0;
  std::int32_t request_bytes_max = 0;
  std::int32_t telemetry_bytes_max = 0;
  std::int32_t connections_max = 0;
  std::int32_t connections_per_ip_max = 0;
  std::int64_t connection_idle_ms_max = 0;
  std::int32_t requests_in_flight_max = 0;
  std::int64_t producer_id_expiration_ms = 0;
  std::int64_t shutdown_grace_ms = 0;

  std::int64_t memory_bytes =
      0;  // whole process budget for buffers; 0: derived from the machine or cgroup
  std::int64_t cache_bytes = 0;        // of it, for records kept in memory; 0: derived
  std::int64_t journal_bytes_max = 0;  // per shard
  std::int64_t journal_file_bytes = 0;
  std::int64_t disk_reserve_bytes = 0;  // below this much free space writes are refused
};

/// Reads the values in force. The layers must have been checked; a value that does not parse counts
/// as absent.
BrokerSettings resolve_broker_settings(const BrokerLayers& layers);

}  // namespace millrace::model
