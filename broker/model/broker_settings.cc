#include "broker/model/broker_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "broker/model/cluster_settings.h"
#include "broker/model/outside_listeners.h"
#include "common/check.h"

namespace millrace::model {
namespace {

/// "HOST:PORT" or "[V6]:PORT", the host perhaps empty.
std::optional<ListenAddress> split_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return ListenAddress{.host = std::string(host), .port = port};
}

/// The first address of a list in Kafka's form NAME://HOST:PORT.
std::optional<ListenAddress> first_listener(std::string_view list) {
  const std::vector<std::string> elements = parse_list(list);
  if (elements.empty()) return std::nullopt;
  std::string_view text = elements.front();
  if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos)
    text = text.substr(scheme + 3);
  auto address = split_address(text);
  if (address && address->host.empty()) address->host = "0.0.0.0";
  return address;
}

constexpr std::string_view kOutsideListen = "kafka.outside.listen";

bool is_address(std::string_view name) {
  return name != kOutsideListen && (name.ends_with(".listen") || name.ends_with(".advertised"));
}
bool is_listener_list(std::string_view name) {
  return name == "listeners" || name == "advertised.listeners";
}

/// Reads values in force by name; what is absent or does not parse leaves the field as it was.
class Reader {
 public:
  explicit Reader(const BrokerLayers& layers) : layers_(layers) {}
  std::optional<std::string_view> text(std::string_view name) const {
    CHECK(find_broker_key(name) != nullptr, "{} is not in the table", name);
    return broker_value(name, layers_);
  }
  bool is_set(std::string_view name) const {
    const std::vector<ConfigSynonym> places = broker_value_places(name, layers_);
    return !places.empty() && places.front().source != ConfigSource::kDefault;
  }
  void read(std::string_view name, std::string& field) const {
    if (const auto value = text(name)) field = *value;
  }
  void read(std::string_view name, bool& field) const {
    if (const auto value = text(name)) field = parse_boolean(*value).value_or(field);
  }
  void read(std::string_view name, double& field) const {
    if (const auto value = text(name)) field = parse_decimal(*value).value_or(field);
  }
  template <std::integral Integer>
  requires(!std::is_same_v<Integer, bool>) void read(std::string_view name, Integer& field) const {
    const auto value = text(name);
    const auto number = value ? parse_integer(*value) : std::nullopt;
    if (number && std::in_range<Integer>(*number)) field = static_cast<Integer>(*number);
  }
  void read(std::string_view name, ListenAddress& field) const {
    const auto value = text(name);
    if (auto address = value ? split_address(*value) : std::nullopt) field = *std::move(address);
  }
  /// `name`, or where only Kafka's own form is set, that.
  void read_address(std::string_view name, std::string_view kafka_name,
                    ListenAddress& field) const {
    read(name, field);
    if (is_set(name) || !is_set(kafka_name)) return;
    if (auto address = first_listener(*text(kafka_name))) field = *std::move(address);
  }

 private:
  const BrokerLayers& layers_;
};

void read_identity(const Reader& reader, BrokerSettings& settings) {
  reader.read("data.dir", settings.data_dir);
  if (settings.data_dir.empty()) {
    const std::vector<std::string> dirs = parse_list(reader.text("log.dirs").value_or(""));
    if (!dirs.empty()) settings.data_dir = dirs.front();
  }
  reader.read("node.id", settings.node_id);
  if (!reader.is_set("node.id") && reader.is_set("broker.id"))
    reader.read("broker.id", settings.node_id);
  settings.node_id = std::max(settings.node_id, 0);
  reader.read("cluster.id", settings.cluster_id);
  reader.read("shards", settings.shards);
  reader.read("broker.rack", settings.rack);
  reader.read_address("kafka.listen", "listeners", settings.kafka_listen);
  reader.read("internal.listen", settings.internal_listen);
  reader.read("grpc.listen", settings.grpc_listen);
  reader.read("http.listen", settings.http_listen);
  reader.read_address("kafka.advertised", "advertised.listeners", settings.kafka_advertised);
  reader.read("grpc.advertised", settings.grpc_advertised);
  reader.read("log.format", settings.log_format);
  reader.read("log.level", settings.log_level);
}

}  // namespace

std::optional<std::string_view> broker_value(std::string_view name, const BrokerLayers& layers) {
  const ConfigKey* const key = find_broker_key(name);
  if (key == nullptr) return std::nullopt;
  for (const ConfigMap* const map :
       {layers.dynamic_broker, layers.dynamic_default, layers.from_start}) {
    if (map == nullptr) continue;
    if (const auto found = map->find(name); found != map->end()) return found->second;
  }
  if (key->default_value.empty()) return std::nullopt;
  return key->default_value;
}

std::vector<ConfigSynonym> broker_value_places(std::string_view name, const BrokerLayers& layers) {
  std::vector<ConfigSynonym> places;
  const ConfigKey* const key = find_broker_key(name);
  if (key == nullptr) return places;
  const std::array<std::pair<const ConfigMap*, ConfigSource>, 3> sources = {{
      {layers.dynamic_broker, ConfigSource::kDynamicBroker},
      {layers.dynamic_default, ConfigSource::kDynamicDefaultBroker},
      {layers.from_start, ConfigSource::kStaticBroker},
  }};
  for (const auto& [map, source] : sources) {
    if (map == nullptr) continue;
    if (const auto found = map->find(name); found != map->end()) {
      places.push_back({.name = std::string(name), .value = found->second, .source = source});
    }
  }
  if (!key->default_value.empty()) {
    places.push_back({.name = std::string(name),
                      .value = std::string(key->default_value),
                      .source = ConfigSource::kDefault});
  }
  return places;
}

std::vector<ConfigEntry> describe_broker_config(const BrokerLayers& layers) {
  std::vector<ConfigEntry> entries;
  entries.reserve(broker_keys().size());
  for (const ConfigKey& key : broker_keys()) {
    ConfigEntry entry{.key = &key, .value = {}, .source = ConfigSource::kDefault, .synonyms = {}};
    entry.synonyms = broker_value_places(key.name, layers);
    if (!entry.synonyms.empty()) {
      entry.value = entry.synonyms.front().value;
      entry.source = entry.synonyms.front().source;
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<void> check_broker_config(std::string_view name, std::string_view value) {
  const ConfigKey* const key = find_broker_key(name);
  if (key == nullptr) {
    const std::string_view nearest = nearest_name(broker_keys(), name);
    return Error{ErrorCode::kInvalidConfig,
                 nearest.empty()
                     ? fmt::format("Unknown config name: {}", name)
                     : fmt::format("Unknown config name: {} (did you mean {}?)", name, nearest)};
  }
  TRY(check_config_value(*key, value));
  const auto bad_address = [&] {
    return Error{
        ErrorCode::kInvalidConfig,
        fmt::format("Invalid value {} for configuration {}: Expected HOST:PORT", value, name)};
  };
  if (is_address(name) && !value.empty() && !split_address(value)) return bad_address();
  if (is_listener_list(name) && !parse_list(value).empty() && !first_listener(value))
    return bad_address();
  if (name == "metadata.voters") TRY(parse_voters(value));
  if (name == kOutsideListen) TRY(parse_outside_listeners(value));
  return common::ok();
}

Result<void> check_dynamic_broker_config(std::string_view name, std::string_view value,
                                         DynamicScope scope) {
  const ConfigKey* const key = find_broker_key(name);
  if (key != nullptr && key->update == ConfigUpdate::kReadOnly) {
    return Error{ErrorCode::kInvalidRequest,
                 fmt::format("Cannot update these configs dynamically: [{}]", name)};
  }
  if (key != nullptr && key->update == ConfigUpdate::kPerBroker &&
      scope == DynamicScope::kWholeCluster) {
    return Error{ErrorCode::kInvalidRequest,
                 fmt::format("Cannot update these configs at default cluster level, broker id must "
                             "be specified: [{}]",
                             name)};
  }
  // Kafka answers a bad broker value with INVALID_REQUEST, and a bad topic value with
  // INVALID_CONFIG.
  if (auto checked = check_broker_config(name, value); !checked.ok()) {
    return Error{ErrorCode::kInvalidRequest, std::move(checked).error().detail};
  }
  return common::ok();
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  if (auto address = split_address(text)) return *std::move(address);
  return Error{ErrorCode::kInvalidConfig,
               fmt::format("'{}' is not an address of the form HOST:PORT", text)};
}

BrokerSettings resolve_broker_settings(const BrokerLayers& layers) {
  const Reader reader(layers);
  BrokerSettings settings;
  read_identity(reader, settings);
  reader.read("auto.create.topics.enable", settings.auto_create_topics);
  reader.read("delete.topic.enable", settings.delete_topics);
  reader.read("num.partitions", settings.num_partitions);
  reader.read("default.replication.factor", settings.default_replication_factor);
  reader.read("partitions.per.shard.max", settings.partitions_per_shard_max);
  reader.read("log.retention.check.interval.ms", settings.retention_check_interval_ms);
  reader.read("log.cleaner.enable", settings.compaction_enabled);
  reader.read("log.cleaner.backoff.ms", settings.compaction_check_interval_ms);
  reader.read("log.cleaner.dedupe.buffer.size", settings.compaction_map_bytes);
  reader.read("log.cleaner.io.max.bytes.per.second", settings.compaction_bytes_per_second_max);
  reader.read("fetch.max.bytes", settings.fetch_bytes_max);
  reader.read("max.incremental.fetch.session.cache.slots", settings.fetch_session_slots_max);
  reader.read("socket.request.max.bytes", settings.request_bytes_max);
  reader.read("telemetry.max.bytes", settings.telemetry_bytes_max);
  reader.read("max.connections", settings.connections_max);
  reader.read("max.connections.per.ip", settings.connections_per_ip_max);
  reader.read("connections.max.idle.ms", settings.connection_idle_ms_max);
  reader.read("connection.requests.max", settings.requests_in_flight_max);
  reader.read("producer.id.expiration.ms", settings.producer_id_expiration_ms);
  reader.read("shutdown.grace.ms", settings.shutdown_grace_ms);
  reader.read("memory.bytes", settings.memory_bytes);
  reader.read("cache.bytes", settings.cache_bytes);
  reader.read("journal.bytes.max", settings.journal_bytes_max);
  reader.read("journal.file.bytes", settings.journal_file_bytes);
  reader.read("disk.reserve.bytes", settings.disk_reserve_bytes);
  return settings;
}

}  // namespace millrace::model
