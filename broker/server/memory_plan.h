// How the memory that the broker may use is shared out.
#pragma once

#include <cstdint>

#include "broker/model/broker_settings.h"

namespace millrace::server {

struct MemoryPlan {
  std::uint64_t total_bytes = 0;
  std::uint64_t cache_bytes_per_shard = 0;
  /// Keys of a compaction; taken only while one runs.
  std::uint64_t compaction_bytes_per_shard = 0;
};

/// From memory.bytes and cache.bytes; where they are 0, from the machine's memory or the cgroup's
/// limit, whichever is less.
MemoryPlan plan_memory(const model::BrokerSettings& settings, std::uint32_t shards);

}  // namespace millrace::server
