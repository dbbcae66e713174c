// shard.calls().serve(Method::kDescribeGroup, [](Request request, auto reply) { ... });
//
// What other brokers ask of a shard, by method.
#pragma once

#include <map>
#include <utility>

#include "broker/cluster/mesh.h"
#include "broker/model/errors.h"

namespace millrace::service {

/// Shard thread only.
class Calls {
 public:
  using Reply = common::Reply<common::Result<common::Bytes>>;
  using Handler = common::Function<void(cluster::Request, Reply)>;

  /// Takes the place of an earlier one.
  void serve(cluster::Method method, Handler handler) { handlers_[method] = std::move(handler); }
  void forget(cluster::Method method) { handlers_.erase(method); }
  /// kUnsupportedVersion: nobody serves the method here.
  void answer(cluster::Request request, Reply reply) {
    const auto handler = handlers_.find(request.method);
    if (handler == handlers_.end())
      return reply(model::error(model::ErrorCode::kUnsupportedVersion));
    handler->second(std::move(request), std::move(reply));
  }

 private:
  std::map<cluster::Method, Handler> handlers_;
};

}  // namespace millrace::service
