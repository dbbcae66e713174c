// What a broker is told of the other brokers of its cluster, out of the table of broker settings.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "broker/model/broker_settings.h"
#include "broker/model/ids.h"

namespace millrace::model {

/// One of the brokers by which a cluster begins, and where other brokers reach it.
struct VoterAddress {
  BrokerId node{-1};
  ListenAddress address;
  bool operator==(const VoterAddress&) const = default;
};

/// "0@host-0:9093,1@host-1:9093", as metadata.voters has it; in order of the nodes. kInvalidConfig:
/// something else, or a node twice.
Result<std::vector<VoterAddress>> parse_voters(std::string_view text);

/// The values in force, typed. Units are in the names or in the table.
struct ClusterSettings {
  /// Empty: this broker is alone.
  std::vector<VoterAddress> voters;
  /// Where other brokers are told to find this one; an empty host: where it listens.
  ListenAddress internal_advertised;
  std::int32_t metadata_voters_max = 0;
  std::int64_t election_timeout_ms = 0;
  std::int64_t heartbeat_interval_ms = 0;
  std::int64_t dead_after_ms = 0;
  std::int64_t move_bytes_per_second_max = 0;
};

/// The layers must have been checked.
ClusterSettings resolve_cluster_settings(const BrokerLayers& layers);

}  // namespace millrace::model
