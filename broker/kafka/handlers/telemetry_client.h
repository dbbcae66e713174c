// The sender of a request, as the telemetry of clients speaks of it.
#pragma once

#include <utility>

#include "broker/kafka/call.h"
#include "broker/telemetry/subscription.h"

namespace millrace::kafka {

inline telemetry::Client telemetry_client(const AnyCall& call, const common::Uuid& instance) {
  Sender sender = call.sender();
  return {.instance = instance,
          .id = std::move(sender.id),
          .software_name = std::move(sender.software_name),
          .software_version = std::move(sender.software_version),
          .address = std::move(sender.host),
          .port = std::move(sender.port)};
}

}  // namespace millrace::kafka
