// gather_led(first, [](std::vector<LedPartition> led) { ... });
//
// Use case: which partitions brokers lead, for the keeper of the cluster.
#pragma once

#include <optional>

#include "broker/service/led_partitions.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// What all shards of this broker lead; answers on `here`'s loop. Partitions whose new leader does
/// not know yet what is committed are left out, and those whose voter set is just changing.
void gather_led(Shard& here, common::Reply<std::vector<LedPartition>> done);

/// Asks another broker. `known`: the sum of its last report; nullopt in the answer: it would be the
/// same. kBrokerNotAvailable, kRequestTimedOut ...
struct LedAnswer {
  std::uint64_t sum = 0;
  std::optional<std::vector<LedPartition>> partitions;
};
void ask_led(Shard& first, model::BrokerId broker, std::uint64_t known, common::Duration limit,
             common::Reply<common::Result<LedAnswer>> done);

/// Serves such questions. On the first shard, once.
void serve_led(Shard& first);

}  // namespace millrace::service
