// TRY_ASSIGN(auto pages, Pages::start("0.0.0.0:8080", {.not_ready = ..., .metrics = ...}));
//
// The operator's HTTP door: /livez, /readyz, /metrics, /version.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/outcome.h"

namespace millrace::control {

/// What the pages show. Called on HTTP's own threads, one at a time.
struct PageContents {
  /// Why this process is not ready to act or to take over, in a sentence; empty: it is.
  std::function<std::string()> not_ready;
  std::function<std::string()> metrics;
  std::string version;
};

struct PageError {
  std::string detail;
};

/// /livez answers 200 as long as the process answers at all; /readyz 200, or 503 with the reason.
class Pages {
 public:
  /// `address` is HOST:PORT, with [] around an IPv6 address; port 0: a free one.
  static common::Outcome<std::unique_ptr<Pages>, PageError> start(const std::string& address,
                                                                  PageContents contents);
  virtual ~Pages() = default;
  virtual int port() const = 0;
};

}  // namespace millrace::control
