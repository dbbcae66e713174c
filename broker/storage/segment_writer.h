// TRY_ASSIGN(SegmentWriter writer, SegmentWriter::create(disk, folder, segment, interval));
// TRY(writer.add(batch));   ...   TRY_ASSIGN(const Segment written, writer.finish(end));
//
// Writes the file of a compacted segment.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "broker/env/disk.h"
#include "broker/model/batch.h"
#include "broker/storage/index.h"
#include "broker/storage/segment.h"

namespace millrace::storage {

/// Blocking: for jobs of the I/O pool. Writes around the page cache, in large pieces. A failed
/// write or sync (kIo) means that the disk can't be trusted any more; after kNoSpace the file is
/// good for nothing and is to be removed.
class SegmentWriter {
 public:
  /// A new file with the name of this segment, of which base, generation and created count.
  static common::Result<SegmentWriter> create(env::Disk& disk, const std::string& folder,
                                              const Segment& segment,
                                              std::uint32_t index_interval_bytes);
  /// Adds a whole batch. Requires that it begins at or behind the end of the one before.
  common::Result<void> add(const model::BatchView& batch);
  /// Bytes of the batches so far.
  std::uint64_t size() const { return segment_.size; }
  /// The offset behind the last batch; the segment's base if there is none.
  model::Offset end() const { return segment_.end; }
  /// Cuts the file to its size, writes its index, and makes file and name durable. Requires that
  /// the last batch ends at `end`: readers get past a segment by its last batch.
  common::Result<Segment> finish(model::Offset end);

 private:
  SegmentWriter() = default;
  common::Result<void> write_out(std::size_t bytes);
  common::Result<void> write_index();

  env::Disk* disk_ = nullptr;
  std::string folder_;
  std::unique_ptr<env::File> file_;
  std::uint32_t index_interval_bytes_ = 0;
  Segment segment_;
  SegmentIndex index_;
  common::Bytes buffer_;
  std::size_t buffered_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace millrace::storage
