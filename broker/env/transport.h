// The network as the front ends and the cluster see it: listeners and byte streams, real or
// simulated.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "broker/env/loop.h"
#include "broker/model/errors.h"
#include "common/bytes.h"
#include "common/reply.h"

namespace millrace::env {

/// HOST:PORT. Port 0: a free one, chosen by listen().
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  /// Accepts "host:port", ":port" (all addresses) and "[v6]:port". The error says what was
  /// expected.
  static common::Result<Endpoint> parse(std::string_view text);
  std::string text() const;
  bool operator==(const Endpoint&) const = default;
};

/// One stream connection, on the loop of its transport. It tells readiness instead of filling
/// buffers, so that an idle connection holds no memory. All calls on the loop thread; a callback
/// never runs inside the call that asked for it. Destroying it closes it and forgets its callbacks.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Calls `ready` once, when bytes can be read, or the peer closed, or the connection broke
  /// (read() then tells).
  virtual void when_readable(Task ready) = 0;
  /// Calls `ready` once, when write() may take bytes again or the connection broke.
  virtual void when_writable(Task ready) = 0;
  /// Copies what is there into `into`, at most its size; never waits. 0: nothing now.
  /// kConnectionClosed: no more will come.
  virtual common::Result<std::size_t> read(common::MutableByteView into) = 0;
  /// Takes bytes from the pieces in order, as many as the socket has room for (0: wait for
  /// when_writable()). kConnectionClosed: the peer is gone.
  virtual common::Result<std::size_t> write(std::span<const common::ByteView> pieces) = 0;
  /// The peer's address, as text for logs.
  virtual std::string peer() const = 0;
  /// The address of this end, that the peer came to, in the same form.
  virtual std::string local() const = 0;
  /// Forgets its callbacks and leaves its loop. From then on it may only be destroyed or adopted,
  /// on any thread.
  virtual void leave() = 0;
};

using OnAccept = common::Function<void(std::unique_ptr<Connection>)>;

/// Accepts connections until destroyed.
class Listener {
 public:
  virtual ~Listener() = default;
  /// The real address, with the port that was chosen.
  virtual Endpoint endpoint() const = 0;
};

/// Where listen() and connect() come from; one per shard.
class Transport {
 public:
  virtual ~Transport() = default;
  /// Listens at once; several shards may listen on one address and take its connections in turn.
  /// kAddressInUse: another program has the port (also when one user's other process holds it).
  virtual common::Result<std::unique_ptr<Listener>> listen(const Endpoint& endpoint,
                                                           OnAccept on_accept) = 0;
  /// kConnectionClosed: nobody listens. kNetworkException: unreachable.
  virtual void connect(const Endpoint& endpoint,
                       common::Reply<common::Result<std::unique_ptr<Connection>>> done) = 0;
  /// Takes a connection that left another transport of the same machine: it lives on this one's
  /// loop now.
  virtual std::unique_ptr<Connection> adopt(std::unique_ptr<Connection> connection) = 0;
};

}  // namespace millrace::env
