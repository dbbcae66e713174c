// The HTTP door: /metrics, /livez, /readyz, /version.
#pragma once

#include <memory>
#include <string>

#include "broker/env/transport.h"
#include "common/function.h"

namespace millrace::http {

/// What the pages show. Called on HTTP's own threads.
struct Pages {
  /// Why the broker is not ready to serve, as a sentence; empty: it is.
  common::Function<std::string()> not_ready;
  /// All metrics in Prometheus' text format.
  common::Function<std::string()> metrics;
  std::string version;
};

/// /livez answers 200 as long as the process answers at all; /readyz 200 or 503 with the reason.
class Server {
 public:
  /// kAddressInUse: another program listens there.
  static common::Result<std::unique_ptr<Server>> start(const env::Endpoint& endpoint, Pages pages);
  virtual ~Server() = default;
  virtual env::Endpoint endpoint() const = 0;
  /// Stops answering. Blocking.
  virtual void stop() = 0;
};

}  // namespace millrace::http
