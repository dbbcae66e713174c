// Clusters, brokers and partitions as tables and as JSON.
#pragma once

#include <string>

#include "millrace/v1/admin.pb.h"

namespace millrace::cli {

std::string cluster_text(const v1::DescribeClusterResponse& response);
std::string cluster_json(const v1::DescribeClusterResponse& response);

/// Whether it is well, why not, the brokers, and the partitions that are not well.
std::string health_text(const v1::ClusterHealthResponse& response);
std::string health_json(const v1::ClusterHealthResponse& response);

std::string brokers_text(const v1::DescribeClusterResponse& response);
std::string brokers_json(const v1::DescribeClusterResponse& response);

std::string partitions_text(const v1::ListPartitionsResponse& response);
std::string partitions_json(const v1::ListPartitionsResponse& response);

std::string drain_text(std::int32_t broker, const v1::DrainBrokerResponse& response);
std::string drain_json(std::int32_t broker, const v1::DrainBrokerResponse& response);

std::string permit_text(std::int32_t broker, const v1::AcquireRestartPermitResponse& response);
std::string permit_json(std::int32_t broker, const v1::AcquireRestartPermitResponse& response);

/// "draining".
std::string name_of(v1::BrokerState state);
/// "under-replicated"; empty: none.
std::string name_of(v1::PartitionTrouble trouble);
/// "green".
std::string name_of(v1::Health health);
/// The trouble with a name; unspecified: there is none.
v1::PartitionTrouble trouble_named(const std::string& name);

}  // namespace millrace::cli
