#include "broker/service/door_calls.h"

#include <utility>

#include "broker/service/calls.h"
#include "broker/service/neighbours.h"

namespace millrace::service {

void ask_door(Shard& here, model::BrokerId broker, common::Bytes body, common::Duration limit,
              common::Reply<common::Result<common::Bytes>> done) {
  if (here.neighbours() == nullptr || !here.neighbours()->alive(broker))
    return done(model::error(model::ErrorCode::kBrokerNotAvailable));
  here.neighbours()->call(broker, 0, cluster::Method::kDoor, std::move(body), limit,
                          std::move(done));
}

void serve_door(Shard& first, DoorHandler handler) {
  CHECK(&first == &first.first());
  first.calls().serve(
      cluster::Method::kDoor,
      [handler = std::move(handler)](cluster::Request request, Calls::Reply reply) mutable {
        handler(std::move(request.body), std::move(reply));
      });
}

void close_door(Shard& first) {
  first.calls().forget(cluster::Method::kDoor);
}

}  // namespace millrace::service
