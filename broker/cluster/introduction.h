// Who a broker says it is, when two of them shake hands.
#pragma once

#include <cstdint>
#include <string>

#include "broker/env/transport.h"
#include "broker/model/ids.h"
#include "common/uuid.h"

namespace millrace::cluster {

/// One process of a broker. Constant as long as the process runs.
struct Introduction {
  std::string cluster_id;
  model::BrokerId node{-1};
  /// Of its data directory: a broker with another disk holds nothing of what the old one did.
  common::Uuid directory;
  /// Drawn when the process starts.
  common::Uuid incarnation;
  std::uint32_t shards = 1;
  /// The feature levels that it can work at.
  std::int32_t level_min = 0;
  std::int32_t level_max = 0;
  /// Where other brokers and clients reach it. An empty host: not told.
  env::Endpoint internal;
  env::Endpoint kafka;
  env::Endpoint grpc;
  std::string rack;
  bool operator==(const Introduction&) const = default;
};

/// Where a broker of the cluster should be found, by configuration or by the metadata.
struct Peer {
  model::BrokerId node{-1};
  env::Endpoint endpoint;
};

}  // namespace millrace::cluster
