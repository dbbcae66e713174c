#include "broker/service/telemetry.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

namespace millrace::service {
namespace {

/// Zero, and the id of the metadata topic.
bool is_reserved(const common::Uuid& instance) {
  return instance.is_zero() || instance == model::kMetadataTopicId;
}

/// A client is known to one shard, whichever its connections belong to.
Shard& keeper(Shard& here, const common::Uuid& instance) {
  return *here.peers()[std::hash<common::Uuid>{}(instance) % here.peers().size()];
}

/// Runs `work(keeper)` on the keeper's loop and answers on `here`'s.
template <typename Answer, typename Work>
void at_keeper(Shard& here, const common::Uuid& instance, Work work, common::Reply<Answer> done) {
  Shard& there = keeper(here, instance);
  there.loop().post([&here, &there, work = std::move(work), done = std::move(done)]() mutable {
    here.loop().post(
        [answer = work(there), done = std::move(done)]() mutable { done(std::move(answer)); });
  });
}

}  // namespace

void subscribe_telemetry(Shard& here, telemetry::Client client,
                         common::Reply<common::Result<TelemetrySubscription>> done) {
  if (is_reserved(client.instance)) client.instance = common::Uuid::random(here.random());
  const common::Uuid instance = client.instance;
  at_keeper<common::Result<TelemetrySubscription>>(
      here, instance,
      [client = std::move(client)](Shard& there) -> common::Result<TelemetrySubscription> {
        TRY_ASSIGN(telemetry::Interest interest,
                   there.telemetry().subscribe(client, there.clock().now()));
        return TelemetrySubscription{.instance = client.instance,
                                     .interest = std::move(interest),
                                     .bytes_max = there.settings().telemetry_bytes_max};
      },
      std::move(done));
}

void push_telemetry(Shard& here, telemetry::Client client, TelemetryPush push,
                    common::Reply<common::Result<void>> done) {
  if (is_reserved(client.instance)) {
    return done(
        common::Error{model::ErrorCode::kInvalidRequest,
                      fmt::format("A client's instance id cannot be {}.", client.instance)});
  }
  const common::Uuid instance = client.instance;
  at_keeper<common::Result<void>>(
      here, instance,
      [client = std::move(client), push = std::move(push)](Shard& there) {
        return there.telemetry().push(
            client,
            {.subscription_id = push.subscription_id,
             .terminating = push.terminating,
             .compression = push.compression,
             .metrics = push.metrics},
            static_cast<std::size_t>(there.settings().telemetry_bytes_max), there.clock().now());
      },
      std::move(done));
}

}  // namespace millrace::service
