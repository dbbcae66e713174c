// CompactionJob job(disk, task);
// while (!*job.map_some()) {}   job.begin_output(7);   while (!*job.copy_some()) {}
// job.finish_output();   job.group()
//
// The work of one compaction on the files, in steps: reads the dirty segments into a key map, then
// copies what stays of all segments, oldest first, into new ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/storage/batch_filter.h"
#include "broker/storage/key_map.h"
#include "broker/storage/segment_scan.h"
#include "broker/storage/segment_writer.h"

namespace millrace::storage {

/// What is to be compacted.
struct CompactionTask {
  std::string folder;
  /// Sealed segments, from the front of the log, one after the other.
  std::vector<Segment> sources;
  /// Of the log.
  std::vector<TermStart> terms;
  /// In front of this each key is there once already.
  Offset dirty_from;
  CompactionLimits limits;
  common::Timestamp now;
  std::int64_t delete_retention_ms = 0;
  std::uint64_t segment_bytes = 0;
  std::uint32_t index_interval_bytes = 0;
  std::uint64_t map_bytes_max = 0;
  HashSecret secret;
  /// Bytes that one step reads or writes, about.
  std::uint64_t step_bytes = 0;
  /// With less than this free on the disk nothing is written: the rest is for appends.
  std::uint64_t free_bytes_min = 0;
};

/// One new segment in place of some old ones.
struct CompactedGroup {
  std::vector<Segment> sources;
  Segment output;
};

/// Blocking: its steps are jobs of the I/O pool. One thread at a time. Steps come in this order:
/// map_some() until it says true; then, as long as more_groups(): begin_output(), copy_some() until
/// it says true, finish_output(). After an error it is good for nothing.
class CompactionJob {
 public:
  CompactionJob(env::Disk& disk, CompactionTask task);

  /// Reads some of the dirty segments. True: the map is whole, or full.
  Result<bool> map_some();
  /// What lies in front of this is compacted when all groups are done.
  Offset end() const { return collector_->end(); }

  bool more_groups() const { return next_source_ < source_count_; }
  /// Offset that the next group begins with, and so its new segment.
  Offset group_base() const { return task_.sources[next_source_].base; }
  /// Makes the file of the next group's segment.
  Result<void> begin_output(std::uint32_t generation);
  /// Copies some batches. True: the group is complete. kCorruptLog: a source is not what it was
  /// when it was sealed. kNoSpace without write_failed(): too little is free.
  Result<bool> copy_some();
  /// Makes the new segment durable. What it takes the place of is in group().
  Result<void> finish_output();
  const CompactedGroup& group() const { return group_; }

  /// The segment that is being read. Requires that there is one: the last call was map_some() or
  /// copy_some(), and not true.
  const Segment& reading() const;
  /// The last error came from writing: if it is kIo, the disk can't be trusted any more.
  bool write_failed() const { return write_failed_; }
  std::uint64_t bytes_read() const { return bytes_read_; }
  std::uint64_t bytes_written() const { return bytes_written_; }
  std::uint64_t keys() const { return map_ ? map_->size() : 0; }
  std::uint64_t map_bytes() const { return map_ ? map_->memory_bytes() : 0; }
  std::uint64_t records_removed() const { return filter_ ? filter_->records_removed() : 0; }

 private:
  void prepare();
  void map_done();
  Result<std::optional<common::ByteView>> next_run(const Segment& source);
  Result<void> check_space() const;
  Result<void> check_source() const;
  Result<void> copy(const model::BatchView& batch);
  Result<void> put(const model::BatchView& batch);
  Result<void> put(const common::Bytes& batch);
  bool takes_next_source() const;

  env::Disk& disk_;
  const CompactionTask task_;
  std::optional<KeyMap> map_;
  std::optional<KeyCollector> collector_;
  std::optional<BatchFilter> filter_;
  std::optional<SegmentScan> scan_;
  std::optional<SegmentWriter> writer_;
  std::size_t map_source_ = 0;    // being read into the map
  std::size_t source_count_ = 0;  // so many sources hold records that the map knows
  std::size_t next_source_ = 0;   // being copied
  std::size_t group_begin_ = 0;
  std::uint32_t read_checksum_ = 0;  // of the source being copied, so far
  CompactedGroup group_;
  /// The latest batch that was left out: in the group's last place it stays, without records.
  std::optional<model::BatchHeader> left_out_;
  bool write_failed_ = false;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_written_ = 0;
};

}  // namespace millrace::storage
