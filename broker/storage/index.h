// The sparse index of one segment: where to begin reading for an offset or a time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/model/batch.h"
#include "broker/storage/segment.h"

namespace millrace::storage {

/// A batch that begins at `position` of the segment with offset base + `relative_offset`.
struct IndexEntry {
  std::uint32_t relative_offset = 0;
  std::uint32_t position = 0;
  /// The largest timestamp of the segment in front of this batch; -1: none.
  std::int64_t max_timestamp_before = -1;
  bool operator==(const IndexEntry&) const = default;
};
static_assert(sizeof(IndexEntry) == 16);

/// Entries in order of position; the first batch has none.
class SegmentIndex {
 public:
  /// Notes a batch if the latest entry is far enough behind.
  void add(std::uint64_t position, model::Offset base, model::Offset segment_base,
           common::Timestamp max_timestamp_before, std::uint32_t interval_bytes);
  /// The latest entry whose batch begins at or before the offset; a zero entry for the segment's
  /// front.
  IndexEntry find(model::Offset offset, model::Offset segment_base) const;
  /// The latest entry in front of which every timestamp is smaller than this.
  IndexEntry find_time(common::Timestamp target) const;
  /// Forgets entries at or behind this position.
  void cut(std::uint64_t position);
  /// Adds the entries of what follows.
  void append(const SegmentIndex& behind);
  const std::vector<IndexEntry>& entries() const { return entries_; }
  std::size_t memory_bytes() const { return entries_.capacity() * sizeof(IndexEntry); }

  /// The file's bytes, with a checksum.
  std::vector<std::uint8_t> encode(const Segment& segment) const;
  /// nullopt: damaged, or of another state of the segment; build it anew.
  static std::optional<SegmentIndex> decode(common::ByteView bytes, const Segment& segment);

 private:
  std::vector<IndexEntry> entries_;
};

}  // namespace millrace::storage
