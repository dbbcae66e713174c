// Which leaders should hand over, and to whom. Pure; the caller sends the transfers, and asks again
// when their results are in the view.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "broker/metadata/image.h"
#include "broker/metadata/view.h"

namespace millrace::metadata {

struct LeaderTransfer {
  model::PartitionKey partition;
  model::BrokerId from{-1};
  model::BrokerId to{-1};
  /// "preferred", "draining" or "may stop".
  std::string_view reason;
  bool operator==(const LeaderTransfer&) const = default;
};

/// At most `transfers_max`. First leaders on brokers that are draining or hold a permit; then back
/// to the preferred replica. The receiver is alive, recovered, caught up, active, without a permit,
/// and has room on its disk; if there is none, the leader stays. Who has no room any more hands
/// over by itself, and is only not given anything back. A partition that is being moved keeps its
/// leader unless that one must go.
std::vector<LeaderTransfer> plan_leaders(const Image& image, const View& view, std::int64_t now_ms,
                                         std::size_t transfers_max);

}  // namespace millrace::metadata
