// What a ClusterReport looks like to clients. Pure.
#pragma once

#include <string>

#include "broker/service/cluster_report.h"
#include "millrace/v1/cluster.pb.h"

namespace millrace::grpc {

void fill(v1::Broker& out, const service::BrokerReport& broker);
void fill(v1::PartitionHealth& out, const service::PartitionReport& partition);
v1::BrokerState state_of(metadata::BrokerState state);
/// The first that holds, in the order of the enumeration; unspecified: none.
v1::PartitionTrouble trouble_of(const service::PartitionReport& partition);

/// Everything of a ClusterHealthResponse but the cluster's id and who answers. `partitions_max`: of
/// those that are unwell, so many are named.
void fill(v1::ClusterHealthResponse& out, const service::ClusterReport& report,
          std::size_t partitions_max);

}  // namespace millrace::grpc
