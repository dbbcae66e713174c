// What of a log may be compacted, and whether it is time.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/storage/log.h"
#include "broker/storage/segment.h"
#include "common/clock.h"

namespace millrace::storage {

/// A log as the plan looks at it. Pure values.
struct CompactionView {
  const std::vector<Segment>& segments;  // the last one is active
  const LogSettings& settings;
  /// Behind this nothing was compacted yet.
  Offset compacted_to;
  /// Segments are complete and synced, and the checkpoint says so, up to here.
  Offset recovery_point;
  /// As CompactionLimits.
  Offset up_to;
  common::Timestamp now;
};

struct CompactionPlan {
  /// So many segments from the front may be compacted...
  std::size_t segments = 0;
  /// ... which end here.
  Offset end;
  std::uint64_t clean_bytes = 0;
  std::uint64_t dirty_bytes = 0;
  /// A record is uncompacted for longer than max.compaction.lag.ms.
  bool overdue = false;

  /// Share of the bytes that was not compacted yet; 0 for an empty log.
  double dirty_ratio() const;
  /// There is something to do and it is time for it.
  bool due(const LogSettings& settings) const;
};

/// Whole segments from the front: none that is active, not yet safe on the disk, not yet committed,
/// or with a record younger than min.compaction.lag.ms.
CompactionPlan plan_compaction(const CompactionView& log);

/// The active segment must be sealed, else max.compaction.lag.ms passes before it may be compacted.
bool must_roll_for_compaction(const Segment& active, const LogSettings& settings,
                              common::Timestamp now);

}  // namespace millrace::storage
