// What brokers say about their cluster, as plain values: the shell fills them from any broker that
// answers (ClusterHealth, and DescribeConfigs of the defaults of all brokers).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"

namespace millrace::plan {

enum class BrokerState : std::uint8_t { kActive, kDraining, kDrained, kUnregistered };

struct PermitView {
  /// The process that it was given to.
  std::string incarnation;
  common::Timestamp expires_at;
};

struct BrokerView {
  std::int32_t id = -1;
  BrokerState state = BrokerState::kActive;
  bool alive = false;
  /// Since it was last heard; -1: not known.
  std::int64_t silent_ms = 0;
  /// Replayed and caught up.
  bool recovered = false;
  std::int32_t leaders = 0;
  std::int32_t replicas = 0;
  std::int32_t replicas_behind = 0;
  std::string directory_id;
  std::string incarnation;
  /// Where other brokers reach it (internal_endpoint), "HOST:PORT"; empty: not known.
  std::string endpoint;
  std::string rack;
  std::optional<PermitView> permit;
  bool metadata_voter = false;
};

/// Whether partitions can be read and written, as the broker that answered knows it.
enum class Health : std::uint8_t { kUnknown, kGreen, kYellow, kRed };

struct ClusterView {
  /// Some broker answered. If not, everything else is empty, and nothing may be concluded from
  /// that.
  bool reachable = false;
  /// Why not, in a sentence. Empty: they were not asked yet, or have been silent only for a moment,
  /// and what the resource said of them still stands.
  std::string why_not;
  std::string cluster_id;
  Health health = Health::kUnknown;
  /// Broker that leads the metadata; -1: none.
  std::int32_t controller = -1;
  /// Why health is not green.
  std::vector<std::string> reasons;
  std::vector<BrokerView> brokers;
  std::int64_t partitions = 0;
  std::int64_t offline = 0;
  std::int64_t under_min_in_sync = 0;
  std::int64_t under_replicated = 0;
  std::int64_t moving = 0;
  /// Version of the broker that answered; empty: not known.
  std::string version;
  /// The defaults of all brokers that were set at run time (source "dynamic-default"); absent: not
  /// read.
  std::optional<std::map<std::string, std::string>> dynamic_config;

  /// nullptr: none of this number.
  const BrokerView* find(std::int32_t id) const;
};

}  // namespace millrace::plan
