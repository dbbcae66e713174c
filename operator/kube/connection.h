// One connection to the API server, and those that wait to be used again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "operator/kube/client.h"
#include "operator/kube/config.h"

namespace millrace::kube {

struct HttpRequest {
  std::string method;
  std::string target;  ///< path and query, encoded
  std::string body;
  std::string content_type;
  std::string authorization;  ///< the header's value; empty: none
  std::string user_agent;
};

struct HttpAnswer {
  int status = 0;
  std::string body;
  std::string retry_after;
};

/// Owned by one caller at a time.
class Connection {
 public:
  /// Reads the certificates of the config; connects with the first request. kInvalid: what is wrong
  /// with them.
  static ApiResult<std::unique_ptr<Connection>> make(const Config& config,
                                                     const ClientSettings& settings,
                                                     const common::Clock& clock);
  virtual ~Connection() = default;

  /// Sends and reads the whole answer, of whatever status. Errors are of the way: kUnavailable
  /// (nothing was sent), kTimeout or kUnavailable with maybe_done (the answer is lost), kBadAnswer
  /// (it is too large). After an error the connection is not to be used again.
  virtual ApiResult<HttpAnswer> exchange(const HttpRequest& request) = 0;

  /// Sends and hands what comes to `sink` until the server ends the answer, the sink returns false
  /// or `stop` is set, which closes the connection. The status counts at once: one of 300 or more
  /// is read to the end and returned with its body; else the body is empty.
  using ByteSink = std::function<bool(std::string_view)>;
  virtual ApiResult<HttpAnswer> stream(const HttpRequest& request, const ByteSink& sink,
                                       const std::stop_token& stop) = 0;
};

/// Connections that were not used for a while, or are old, are closed rather than used:
/// certificates are read with each new one. Thread-safe.
class ConnectionPool {
 public:
  ConnectionPool(Config config, ClientSettings settings, const common::Clock& clock);

  struct Lease {
    std::unique_ptr<Connection> connection;
    common::Instant made;
    bool reused = false;
  };
  ApiResult<Lease> take();
  /// A connection of which only the caller knows, for a stream.
  ApiResult<std::unique_ptr<Connection>> make();
  /// After an exchange without an error.
  void give_back(Lease lease);
  /// Closes what waits: the server or the credentials changed.
  void drop_idle();
  std::uint64_t made() const;

 private:
  struct Idle {
    Lease lease;
    common::Instant since;
  };
  static constexpr common::Duration kAgeMax = std::chrono::minutes(10);

  const Config config_;
  const ClientSettings settings_;
  const common::Clock& clock_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<Idle> idle_;    // the one used last at the end
  std::uint64_t made_ = 0;
};

}  // namespace millrace::kube
