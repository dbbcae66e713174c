// TRY_ASSIGN(auto client, make_client(config, clock, random));
// client->get(kPods, {"shop", "events-0"});
//
// The API over HTTPS.
#pragma once

#include <cstdint>
#include <memory>

#include "common/clock.h"
#include "common/random.h"
#include "operator/kube/api.h"
#include "operator/kube/backoff.h"
#include "operator/kube/config.h"

namespace millrace::kube {

struct ClientSettings {
  common::Duration connect = std::chrono::seconds(5);
  /// For one try of a call, from sending to the last byte of the answer.
  common::Duration call = std::chrono::seconds(15);
  /// A try, its repetitions and the waits between them.
  common::Duration total = std::chrono::seconds(30);
  /// A watch that says nothing for so long, not even a bookmark, is broken.
  common::Duration watch_idle = std::chrono::seconds(100);
  int tries = 4;
  Backoff::Settings backoff{std::chrono::milliseconds(200), std::chrono::seconds(5)};
  /// Connections that wait to be used again; more are closed after use.
  int idle_connections = 16;
  /// A connection that was not used for so long is not trusted.
  common::Duration idle = std::chrono::seconds(60);
  /// An answer larger than this is refused (kBadAnswer).
  std::size_t answer_bytes_max = 64 << 20;
  /// A line of a watch, which is one object.
  std::size_t line_bytes_max = 8 << 20;
  std::string user_agent = "millrace-operator";
};

/// What the client did, for metrics.
struct ClientCounts {
  std::uint64_t calls = 0;        ///< as asked for by callers
  std::uint64_t writes = 0;       ///< of these: create, update, apply, patch, remove
  std::uint64_t requests = 0;     ///< sent, repetitions included
  std::uint64_t failures = 0;     ///< calls that ended in an error of the way or a 5xx
  std::uint64_t connections = 0;  ///< opened
};

class Client : public Api {
 public:
  virtual ClientCounts counts() const = 0;
  /// The server's version ("v1.34.4"), which also shows that address and credentials are right.
  virtual ApiResult<std::string> server_version() = 0;
};

/// Opens no connection yet. Makes the process ignore SIGPIPE if it does not handle it: a server
/// that closes a connection is an ordinary event. kInvalid: certificates or keys that cannot be
/// read. `clock` must outlive the client.
ApiResult<std::unique_ptr<Client>> make_client(Config config, const common::Clock& clock,
                                               common::Random random, ClientSettings settings = {});

}  // namespace millrace::kube
