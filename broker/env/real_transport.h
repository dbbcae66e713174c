// RealNetwork network(notice);   auto transport = network.join(loop);   // one per shard
//
// The machine's sockets.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "broker/env/io_pool.h"
#include "broker/env/real_loop.h"
#include "broker/env/transport.h"

namespace millrace::env {

class ListenGroup;

/// The sockets that the transports of one process share: listeners of one address take its
/// connections in turn, so that shards get equally many, and no SO_REUSEPORT is needed, which would
/// let another process take a share unnoticed. Outlives its transports; the loops outlive it.
class RealNetwork {
 public:
  /// Tells `notice` a sentence for the log when accepting must pause (no descriptors left). On any
  /// loop's thread.
  explicit RealNetwork(common::Function<void(std::string_view)> notice = {})
      : notice_(std::move(notice)) {}
  RealNetwork(const RealNetwork&) = delete;
  RealNetwork& operator=(const RealNetwork&) = delete;

  /// The transport of one loop. Used on it, or while it does not run. listen() resolves names and
  /// may block.
  std::unique_ptr<Transport> join(RealLoop& loop);

 private:
  friend class RealTransport;
  friend class ListenGroup;
  void tell(std::string_view text);

  std::mutex mutex_;  // guards the two below
  common::Function<void(std::string_view)> notice_;
  std::vector<std::weak_ptr<ListenGroup>> groups_;
  IoPool resolver_{"resolver", 1};
};

}  // namespace millrace::env
