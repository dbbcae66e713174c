// Use case: clients tell the broker their own metrics (KIP-714).
#pragma once

#include <cstdint>

#include "broker/service/shard.h"
#include "broker/telemetry/clients.h"

namespace millrace::service {

/// What a client should push, and under which identity from now on.
struct TelemetrySubscription {
  common::Uuid instance;
  telemetry::Interest interest;
  std::int32_t bytes_max = 0;
};

/// Answers on `here`'s loop. An instance of zero is given an identity. Errors: those of
/// telemetry::Clients::subscribe.
void subscribe_telemetry(Shard& here, telemetry::Client client,
                         common::Reply<common::Result<TelemetrySubscription>> done);

/// A push whose bytes are held until it is answered.
struct TelemetryPush {
  std::int32_t subscription_id = 0;
  bool terminating = false;
  std::int8_t compression = 0;
  common::Bytes metrics;
};
/// Errors: those of telemetry::Clients::push, and kInvalidRequest for an identity that the broker
/// never gave.
void push_telemetry(Shard& here, telemetry::Client client, TelemetryPush push,
                    common::Reply<common::Result<void>> done);

}  // namespace millrace::service
