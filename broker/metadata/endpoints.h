// const Endpoint* const door = endpoint_named(broker, kKafkaEndpoint);
//
// The addresses that a broker registered, by name.
#pragma once

#include <algorithm>
#include <string_view>

#include "broker/metadata/records.h"

namespace millrace::metadata {

/// What each broker registers. Beside these stand its listeners for clients outside, under the
/// names that the settings give them.
inline constexpr std::string_view kKafkaEndpoint = "kafka";
inline constexpr std::string_view kGrpcEndpoint = "grpc";
/// For other brokers; one that is alone has none.
inline constexpr std::string_view kInternalEndpoint = "internal";

/// nullptr: the broker registered none of this name. Valid as long as `broker`.
inline const Endpoint* endpoint_named(const Broker& broker, std::string_view name) {
  const auto found = std::ranges::find(broker.endpoints, name, &Endpoint::name);
  return found == broker.endpoints.end() ? nullptr : &*found;
}

/// Whether it is where clients outside find the broker, by the listener of that name.
inline bool is_outside(const Endpoint& endpoint) {
  return endpoint.name != kKafkaEndpoint && endpoint.name != kGrpcEndpoint &&
         endpoint.name != kInternalEndpoint;
}

}  // namespace millrace::metadata
