// DescribeCluster (KIP-700): this listener is one of brokers; controllers have none of their own.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/metadata/endpoints.h"
#include "broker/wire/messages/describe_cluster.h"

namespace millrace::kafka {
namespace {

constexpr std::int8_t kBrokers = 1;
constexpr std::int8_t kControllers = 2;

/// Brokers that are registered and not heard: what Kafka calls fenced.
void add_silent(const service::Shard& shard, const Arrival& arrival,
                wire::DescribeClusterResponse& response) {
  for (const auto& [id, broker] : shard.image().brokers()) {
    if (shard.alive(id) || shard.neighbours() == nullptr) continue;
    const auto* const door = metadata::endpoint_named(broker, arrival.listener);
    if (door == nullptr) continue;
    auto& silent = response.brokers.emplace_back();
    silent.broker_id = id.value();
    silent.host = door->host;
    silent.port = door->port;
    if (!broker.rack.empty()) silent.rack = broker.rack;
    silent.is_fenced = true;
  }
}

}  // namespace

template <>
void handle(wire::DescribeClusterRequest request, Call<wire::DescribeClusterRequest> call) {
  wire::DescribeClusterResponse response;
  if (request.endpoint_type != kBrokers) {
    if (request.endpoint_type == kControllers) {
      put_error(response, ErrorCode::kMismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of "
                "type CONTROLLER");
    } else {
      put_error(response, ErrorCode::kUnsupportedEndpointType,
                fmt::format("Unsupported endpoint type {}", request.endpoint_type));
    }
    return call.answer(response);
  }
  service::Shard& shard = call.shard();
  const Arrival arrival = call.arrival();
  response.endpoint_type = kBrokers;
  response.cluster_id = shard.identity().cluster_id;
  response.controller_id = controller_id(shard, arrival);
  for (BrokerView& broker : broker_views(shard, arrival)) {
    response.brokers.push_back(
        {broker.id, std::move(broker.host), broker.port, std::move(broker.rack), false});
  }
  if (request.include_fenced_brokers) add_silent(shard, arrival, response);
  if (request.include_cluster_authorized_operations)
    response.cluster_authorized_operations = kClusterOperations;
  call.answer(response);
}

}  // namespace millrace::kafka
