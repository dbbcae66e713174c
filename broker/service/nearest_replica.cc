#include "broker/service/nearest_replica.h"

namespace millrace::service {

std::optional<model::BrokerId> nearest_replica(std::string_view reader_rack,
                                               std::string_view leader_rack, model::Offset from,
                                               std::span<const ReadableReplica> followers) {
  if (reader_rack.empty() || reader_rack == leader_rack) return std::nullopt;
  const ReadableReplica* best = nullptr;
  for (const ReadableReplica& follower : followers) {
    if (follower.rack != reader_rack || follower.end < from) continue;
    const bool better = best == nullptr || follower.end > best->end ||
                        (follower.end == best->end && follower.broker < best->broker);
    if (better) best = &follower;
  }
  return best == nullptr ? std::nullopt : std::optional(best->broker);
}

}  // namespace millrace::service
