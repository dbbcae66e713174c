// What consumer groups look like in the metrics.
#pragma once

#include <future>
#include <vector>

#include "broker/server/exposition.h"
#include "broker/service/group_coordinators.h"
#include "broker/service/group_lag.h"

namespace millrace::server {

/// What the coordinators of one shard counted.
struct GroupCounts {
  service::GroupCounters counters;
  std::int64_t loading = 0;
  std::int64_t failed = 0;
};
/// On the shard's loop.
GroupCounts count_groups(const service::Shard& shard);
void add_group_counts(Exposition& out, std::uint32_t shard, const GroupCounts& counts);

/// The lag of all groups, and whether each partition's is wanted too (metrics.group.partitions).
struct GroupLags {
  std::vector<service::GroupLagSummary> groups;
  bool partitions = false;
};
/// Asks for it; from any thread but the shards'.
std::future<GroupLags> begin_group_lags(service::Shard& first);
/// At most kGroupSeriesMax groups and topics of groups; millrace_group_lag_series_dropped says how
/// many were left out.
void add_group_lags(Exposition& out, const GroupLags& lags);
inline constexpr std::size_t kGroupSeriesMax = 10'000;

}  // namespace millrace::server
