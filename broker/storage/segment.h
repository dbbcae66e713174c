// One file of a log: which batches it holds, and what must be true of it.
#pragma once

#include <string>
#include <vector>

#include "broker/model/ids.h"
#include "broker/storage/journal_format.h"
#include "common/clock.h"

namespace millrace::storage {

/// More is no segment of ours.
inline constexpr std::uint64_t kSegmentBytesMax = std::uint64_t{1} << 40;

/// The manifest of the segment that holds [base, end). Each begins where the one in front of it
/// ends. All segments but a log's last one are sealed. `size` counts what belongs to the log: while
/// a segment is the last one its file may be shorter (not written behind yet) or longer.
struct Segment {
  model::Offset base;
  model::Offset end;
  std::uint64_t size = 0;
  /// Position of its first byte in the log's stream of bytes (PartitionLog).
  std::uint64_t stream = 0;
  /// -1: no batch carries a time.
  common::Timestamp max_timestamp{-1};
  /// Wall time when the segment began.
  common::Timestamp created;
  /// Over the checksum fields of its batches, in order; in a compacted segment with each one's base
  /// offset in front. Unknown after a truncation inside the segment.
  std::uint32_t checksum = 0;
  bool checksum_known = true;
  /// The file may be there: from before a restart or a truncation. Otherwise finding one is a
  /// conflict.
  bool file_expected = false;
  /// Sealed, cut to its size, its index written.
  bool finished = false;
  /// 0: its batches are those that were appended, their offsets dense. Otherwise compaction wrote
  /// it: offsets grow, but some are not there. Names the file.
  std::uint32_t generation = 0;

  std::uint64_t stream_end() const { return stream + size; }
  bool compacted() const { return generation > 0; }
};

/// checksum with one more batch.
std::uint32_t extend_checksum(std::uint32_t checksum, std::uint32_t batch_crc);
/// In compacted segments each batch's base offset counts too.
std::uint32_t extend_checksum(std::uint32_t checksum, model::Offset base);

/// "topics/orders.5K3.../0", or with a suffix when the plain name may still be in use by a removed
/// log.
std::string log_folder(const std::string& topic, const model::PartitionKey& key, LogNumber suffix);
/// "00000000000000000042.log", or "00000000000000000042.7.log" of a compacted one.
std::string segment_name(model::Offset base, std::uint32_t generation = 0);
inline std::string segment_name(const Segment& segment) {
  return segment_name(segment.base, segment.generation);
}
/// "00000000000000000042.idx", or "00000000000000000042.7.idx".
std::string index_name(model::Offset base, std::uint32_t generation = 0);
inline std::string index_name(const Segment& segment) {
  return index_name(segment.base, segment.generation);
}

}  // namespace millrace::storage
