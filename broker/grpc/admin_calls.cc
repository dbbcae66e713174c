#include "broker/grpc/admin_calls.h"

#include <fmt/format.h>

namespace millrace::grpc {
namespace {

using Reply = common::Reply<common::Result<common::Bytes>>;

/// False: it is another one.
template <typename Request, typename Response>
bool try_call(service::Shard& first, const Forwardable<Request, Response>& call,
              const NamedRequest& named, Reply& reply) {
  if (named.name != call.name) return false;
  run_for_broker(first, call, named.request, std::move(reply));
  return true;
}

template <typename... Calls>
bool try_all(service::Shard& first, const NamedRequest& named, Reply& reply,
             const Calls&... calls) {
  return (try_call(first, calls, named, reply) || ...);
}

}  // namespace

void answer_broker(service::Shard& first, const common::Bytes& body, Reply reply) {
  const auto named = parse_body(body.view());
  if (!named.ok()) return reply(named.error());
  if (try_all(first, *named, reply, kListGroups, kDescribeGroup, kDeleteGroup, kResetGroupOffsets,
              kDeleteGroupOffsets, kExplain, kDescribeConfigs))
    return;
  reply(common::Error{model::ErrorCode::kUnsupportedVersion,
                      fmt::format("This broker does not know the call {}", named->name)});
}

bool worth_another_try(model::ErrorCode code) {
  using model::ErrorCode;
  return code == ErrorCode::kNotCoordinator || code == ErrorCode::kCoordinatorNotAvailable ||
         code == ErrorCode::kCoordinatorLoadInProgress || code == ErrorCode::kBrokerNotAvailable;
}

}  // namespace millrace::grpc
