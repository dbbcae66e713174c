#include "broker/storage/retention.h"

#include <algorithm>

namespace millrace::storage {

Offset retained_from(const std::vector<Segment>& segments, Offset start, Offset durable,
                     const LogSettings& settings, common::Timestamp now) {
  CHECK(!segments.empty());
  Offset from = start;
  if (!settings.delete_old) return from;
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments) bytes += segment.size;
  for (const Segment& segment : segments) {
    if (segment.size == 0 || segment.end > durable) break;
    const bool active = &segment == &segments.back();
    // Records without a time are as old as their segment.
    const common::Timestamp newest =
        segment.max_timestamp >= common::Timestamp{0} ? segment.max_timestamp : segment.created;
    const bool too_old = settings.retention_ms >= 0 && now - newest > settings.retention_ms;
    const bool too_much =
        settings.retention_bytes >= 0 && !active &&
        bytes - segment.size >= static_cast<std::uint64_t>(settings.retention_bytes);
    if (!too_old && !too_much) break;
    from = std::max(from, segment.end);
    bytes -= segment.size;
  }
  return from;
}

}  // namespace millrace::storage
