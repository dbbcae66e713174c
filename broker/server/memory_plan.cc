#include "broker/server/memory_plan.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace millrace::server {
namespace {

constexpr std::uint64_t kMachineShare = 4;  // a quarter of the machine, for a broker that shares it
constexpr std::uint64_t kCompactionShare = 8;  // of the total, at most
constexpr std::uint64_t kTotalBytesMin = 256ULL << 20;
// A larger cache serves readers that are further behind, but its pages are fresh ones for longer,
// and those cost more than reading from the disk does (docs/decisions/cache-size.md). cache.bytes
// overrides it.
constexpr std::uint64_t kCacheBytesMax = 512ULL << 20;

std::uint64_t machine_bytes() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// The container's own limit; UINT64_MAX without one.
std::uint64_t container_bytes() {
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream in(path);
    std::uint64_t bytes = 0;
    if (in >> bytes) return bytes;
  }
  return UINT64_MAX;
}

}  // namespace

MemoryPlan plan_memory(const model::BrokerSettings& settings, std::uint32_t shards) {
  MemoryPlan plan;
  if (settings.memory_bytes > 0) {
    plan.total_bytes = static_cast<std::uint64_t>(settings.memory_bytes);
  } else {
    // A container is given to the broker alone, a machine is not.
    plan.total_bytes =
        std::max(kTotalBytesMin, std::min(machine_bytes() / kMachineShare, container_bytes() / 2));
  }
  const std::uint64_t cache = settings.cache_bytes > 0
                                  ? static_cast<std::uint64_t>(settings.cache_bytes)
                                  : std::min(kCacheBytesMax, plan.total_bytes / 2);
  plan.cache_bytes_per_shard = cache / shards;
  plan.compaction_bytes_per_shard =
      std::min(static_cast<std::uint64_t>(settings.compaction_map_bytes),
               plan.total_bytes / kCompactionShare) /
      shards;
  return plan;
}

}  // namespace millrace::server
