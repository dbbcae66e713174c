// proto/millrace/v1 as plain values. Pure: whatever a broker sends, a value comes out.
#pragma once

#include <grpcpp/support/status.h>

#include <map>
#include <string>

#include "millrace/v1/admin.pb.h"
#include "operator/brokers/answer.h"
#include "operator/brokers/views.h"

namespace millrace::brokers {

Cluster translate(const v1::ClusterHealthResponse& response);
PermitAnswer translate(const v1::AcquireRestartPermitResponse& response);
DrainAnswer translate(const v1::DrainBrokerResponse& response);
BrokerState translate(v1::BrokerState state);
Topic translate(const v1::TopicSummary& summary);
Answer<Topic> translate(const v1::NewTopicOutcome& outcome);
/// Counts by topic.
std::map<std::string, TopicTrouble> translate(const v1::ListPartitionsResponse& response);
/// Those that were set at run time for all brokers.
Configs translate(const v1::DescribeConfigsResponse& response);

/// The trouble behind a gRPC status that a broker sent.
Trouble trouble_of(::grpc::StatusCode status);

}  // namespace millrace::brokers
