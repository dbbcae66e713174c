// auto server = grpc::Server::start({.host = "127.0.0.1", .port = 0}, shards);
//
// The gRPC door: Publisher, Subscriber, Admin, health and reflection over the services of the
// shards.
#pragma once

#include <memory>
#include <span>

#include "broker/env/transport.h"
#include "broker/service/shard.h"

namespace millrace::grpc {

/// Runs gRPC's own threads; every call is posted to a shard at once and answered from there.
class Server {
 public:
  /// kAddressInUse: another program listens there. The shards must outlive the server and their
  /// loops run until stop().
  static common::Result<std::unique_ptr<Server>> start(const env::Endpoint& endpoint,
                                                       std::span<service::Shard* const> shards);
  virtual ~Server() = default;
  virtual env::Endpoint endpoint() const = 0;
  /// Refuses new calls, ends streams, waits for the rest (at most a second) and stops. Blocking;
  /// not on a shard's loop.
  virtual void stop() = 0;
};

}  // namespace millrace::grpc
