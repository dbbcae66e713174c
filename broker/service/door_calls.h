// ask_door(here, broker, body, 5s, [](Result<Bytes> answer) { ... });
//
// How the front door of one broker asks the same door of another one: what they say is theirs.
#pragma once

#include "broker/service/shard.h"
#include "common/function.h"

namespace millrace::service {

/// Answers on `here`'s loop. Surely not brought: kBrokerNotAvailable (it is not there),
/// kMemoryExhausted, kUnsupportedVersion (nobody serves it). Perhaps: kRequestTimedOut,
/// kNetworkException ...
void ask_door(Shard& here, model::BrokerId broker, common::Bytes body, common::Duration limit,
              common::Reply<common::Result<common::Bytes>> done);

/// Answers a call of another broker, on the first shard's loop. It must not ask a third one.
using DoorHandler =
    common::Function<void(common::Bytes body, common::Reply<common::Result<common::Bytes>>)>;
/// From now on, until close_door(). On the first shard.
void serve_door(Shard& first, DoorHandler handler);
void close_door(Shard& first);

}  // namespace millrace::service
