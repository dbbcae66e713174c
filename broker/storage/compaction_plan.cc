#include "broker/storage/compaction_plan.h"

#include <algorithm>

namespace millrace::storage {
namespace {

bool too_young(const Segment& segment, const CompactionView& log) {
  const std::int64_t lag_min = log.settings.min_compaction_lag_ms;
  if (lag_min <= 0) return false;
  // Records without a time are as old as their segment.
  const common::Timestamp newest =
      segment.max_timestamp >= common::Timestamp{0} ? segment.max_timestamp : segment.created;
  return log.now - newest < lag_min;
}

// Older than the limit since its first record came.
bool lags(const Segment& segment, const LogSettings& settings, common::Timestamp now) {
  return settings.max_compaction_lag_ms != INT64_MAX &&
         now - segment.created > settings.max_compaction_lag_ms;
}

}  // namespace

double CompactionPlan::dirty_ratio() const {
  const std::uint64_t all = clean_bytes + dirty_bytes;
  return all == 0 ? 0 : static_cast<double>(dirty_bytes) / static_cast<double>(all);
}

bool CompactionPlan::due(const LogSettings& settings) const {
  return dirty_bytes > 0 && (overdue || dirty_ratio() > settings.min_cleanable_dirty_ratio);
}

CompactionPlan plan_compaction(const CompactionView& log) {
  CHECK(!log.segments.empty());
  CompactionPlan plan{.end = log.segments.front().base};
  const Offset limit = std::min(log.recovery_point, log.up_to);
  for (std::size_t i = 0; i + 1 < log.segments.size(); ++i) {
    const Segment& segment = log.segments[i];
    if (segment.end > limit || !segment.finished || too_young(segment, log)) break;
    ++plan.segments;
    plan.end = segment.end;
    if (segment.end <= log.compacted_to) {
      plan.clean_bytes += segment.size;
    } else {
      plan.dirty_bytes += segment.size;
      plan.overdue = plan.overdue || lags(segment, log.settings, log.now);
    }
  }
  return plan;
}

bool must_roll_for_compaction(const Segment& active, const LogSettings& settings,
                              common::Timestamp now) {
  return active.size > 0 && lags(active, settings, now);
}

}  // namespace millrace::storage
