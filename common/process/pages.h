// auto server = process::PageServer::start("127.0.0.1", 8080, {.program = "millrace", ...});
// if (server == nullptr) ...  // the address is in use
//
// The HTTP pages that a process is watched by: /livez, /readyz, /metrics, /version.
#pragma once

#include <memory>
#include <string>

#include "common/function.h"

namespace millrace::process {

/// What the pages show. Called on HTTP's own threads, one at a time.
struct Pages {
  std::string program;
  std::string version;
  /// Why this process is not ready, in a sentence; empty: it is.
  common::Function<std::string()> not_ready;
  /// All metrics in Prometheus' text format.
  common::Function<std::string()> metrics;
};

/// /livez answers 200 as long as the process answers at all; /readyz 200, or 503 with the reason.
class PageServer {
 public:
  /// Port 0: a free one. nullptr: the address is in use, or not of this machine.
  static std::unique_ptr<PageServer> start(const std::string& host, int port, Pages pages);
  /// Stops.
  virtual ~PageServer() = default;
  virtual int port() const = 0;
  /// Stops answering. Blocking; again it does nothing.
  virtual void stop() = 0;
};

}  // namespace millrace::process
