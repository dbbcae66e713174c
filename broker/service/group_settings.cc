#include "broker/service/group_settings.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace millrace::service {
namespace {

using coordinator::Settings;

/// Takes a value in force; what does not fit leaves the field as it was.
template <typename Integer>
void read(const model::BrokerLayers& layers, std::string_view name, Integer& field) {
  CHECK(model::find_broker_key(name) != nullptr, "{} is not in the table", name);
  const auto value = model::broker_value(name, layers);
  const auto number = value ? model::parse_integer(*value) : std::nullopt;
  if (number && std::in_range<Integer>(*number)) field = static_cast<Integer>(*number);
}

/// No longer times than clocks can count: a century is for ever.
std::int64_t bounded_ms(std::int64_t ms) {
  constexpr std::int64_t kCentury = std::int64_t{100} * 365 * 24 * 3'600'000;
  return std::min(ms, kCentury);
}

Settings::Migration migration(std::string_view policy) {
  if (policy == "disabled") return Settings::Migration::kDisabled;
  if (policy == "upgrade") return Settings::Migration::kUpgrade;
  if (policy == "downgrade") return Settings::Migration::kDowngrade;
  return Settings::Migration::kBidirectional;
}

}  // namespace

Settings group_settings(const model::BrokerLayers& layers) {
  Settings settings;
  read(layers, "group.min.session.timeout.ms", settings.group_min_session_timeout_ms);
  read(layers, "group.max.session.timeout.ms", settings.group_max_session_timeout_ms);
  read(layers, "group.initial.rebalance.delay.ms", settings.group_initial_rebalance_delay_ms);
  read(layers, "group.max.size", settings.group_max_size);
  read(layers, "offset.metadata.max.bytes", settings.offset_metadata_bytes_max);
  read(layers, "offsets.retention.check.interval.ms", settings.offsets_retention_check_ms);
  settings.offsets_retention_check_ms = bounded_ms(settings.offsets_retention_check_ms);
  read(layers, "group.consumer.session.timeout.ms", settings.consumer_session_timeout_ms);
  read(layers, "group.consumer.heartbeat.interval.ms", settings.consumer_heartbeat_interval_ms);
  read(layers, "group.consumer.assignment.interval.ms", settings.consumer_assignment_interval_ms);
  read(layers, "group.consumer.max.size", settings.consumer_max_size);
  std::int64_t retention_minutes = settings.offsets_retention_ms / 60'000;
  read(layers, "offsets.retention.minutes", retention_minutes);
  settings.offsets_retention_ms = retention_minutes * 60'000;
  const auto assignors =
      model::parse_list(model::broker_value("group.consumer.assignors", layers).value_or(""));
  if (!assignors.empty()) settings.consumer_assignors = assignors;
  settings.consumer_migration =
      migration(model::broker_value("group.consumer.migration.policy", layers).value_or(""));
  return settings;
}

OffsetsTopicSettings offsets_topic_settings(const model::BrokerLayers& layers) {
  OffsetsTopicSettings settings;
  read(layers, "offsets.topic.num.partitions", settings.partitions);
  read(layers, "offsets.topic.replication.factor", settings.replication_factor);
  read(layers, "offsets.topic.segment.bytes", settings.segment_bytes);
  return settings;
}

std::int32_t group_linger_ms(const model::BrokerLayers& layers) {
  std::int32_t ms = -1;
  read(layers, "group.coordinator.append.linger.ms", ms);
  return ms;
}

common::Duration fetch_silence(const model::BrokerLayers& layers) {
  std::int64_t ms = 60'000;
  read(layers, "group.fetch.silence.ms", ms);
  return std::chrono::milliseconds(bounded_ms(ms));
}

}  // namespace millrace::service
