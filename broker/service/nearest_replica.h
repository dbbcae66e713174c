// Which replica a consumer had better read from (KIP-392). Pure; asked by the partition's leader.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "broker/model/ids.h"

namespace millrace::service {

/// A replica that is in sync, and whose broker is heard.
struct ReadableReplica {
  model::BrokerId broker{-1};
  std::string_view rack;
  /// What it holds ends here.
  model::Offset end;
};

/// Of the followers in the reader's rack that hold what it wants to read, the one that holds most,
/// then the lowest id. nullopt: it should stay with the leader, which is in that rack as well, or
/// nobody else is, or the reader does not say where it is.
std::optional<model::BrokerId> nearest_replica(std::string_view reader_rack,
                                               std::string_view leader_rack, model::Offset from,
                                               std::span<const ReadableReplica> followers);

}  // namespace millrace::service
