// Use case: which partitions are led here, and in which epoch.
#pragma once

#include <optional>
#include <vector>

#include "broker/service/shard.h"

namespace millrace::service {

/// The leader epoch of each partition in the order of the keys; nullopt: nobody of this broker
/// leads it now. Answers on `here`'s loop; inline when one shard owns all. Cost: one message to and
/// from each other shard that owns some.
void leader_epochs(Shard& here, std::vector<model::PartitionKey> keys,
                   common::Reply<std::vector<std::optional<model::Term>>> done);

}  // namespace millrace::service
