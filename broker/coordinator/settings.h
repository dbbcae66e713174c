// The group and offset settings of the broker, with Kafka's names and defaults.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::coordinator {

struct Settings {
  std::int32_t group_min_session_timeout_ms = 6'000;         // group.min.session.timeout.ms
  std::int32_t group_max_session_timeout_ms = 1'800'000;     // group.max.session.timeout.ms
  std::int32_t group_initial_rebalance_delay_ms = 3'000;     // group.initial.rebalance.delay.ms
  std::int32_t group_max_size = 2'147'483'647;               // group.max.size
  std::int32_t offset_metadata_bytes_max = 4'096;            // offset.metadata.max.bytes
  std::int64_t offsets_retention_ms = 7LL * 24 * 3'600'000;  // offsets.retention.minutes
  std::int64_t offsets_retention_check_ms = 600'000;         // offsets.retention.check.interval.ms
  std::int32_t consumer_session_timeout_ms = 45'000;         // group.consumer.session.timeout.ms
  std::int32_t consumer_heartbeat_interval_ms = 5'000;       // group.consumer.heartbeat.interval.ms
  std::int32_t consumer_assignment_interval_ms = 1'000;  // group.consumer.assignment.interval.ms
  std::int32_t consumer_max_size = 2'147'483'647;        // group.consumer.max.size
  std::vector<std::string> consumer_assignors{"uniform", "range"};  // group.consumer.assignors
  enum class Migration : std::uint8_t { kDisabled, kUpgrade, kDowngrade, kBidirectional };
  Migration consumer_migration = Migration::kBidirectional;  // group.consumer.migration.policy
};

}  // namespace millrace::coordinator
