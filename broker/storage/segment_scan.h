// Reading a segment's file batch by batch, with every check.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "broker/env/disk.h"
#include "broker/model/batch.h"
#include "broker/storage/index.h"
#include "broker/storage/log.h"
#include "broker/storage/segment.h"

namespace millrace::storage {

using common::Bytes;
using common::Result;

/// What verify_batches() found.
struct VerifiedRun {
  std::size_t bytes = 0;  // whole batches from the front
  model::Offset end;      // the offset behind them
  std::size_t next_batch_bytes =
      0;  // size of the batch that is not there as a whole; 0: not even that is known
};

/// Where bytes that are checked lie.
struct RunPlace {
  /// Its end, its size and whether compaction wrote it count.
  const Segment& segment;
  /// Of the bytes' front in the segment.
  std::uint64_t position = 0;
  /// Offset that the first batch begins with; in a compacted segment: or a higher one.
  model::Offset expected;
  const std::string& path;
  /// Of the log, for the batches' leader epochs, which no checksum covers.
  std::span<const TermStart> terms = {};
};

/// Checks whole batches from the front of `bytes`: form, checksum, that they are of the terms that
/// wrote them, and that they begin with `place.expected` and join; in a compacted segment: that
/// their offsets grow and stay inside. The last one may be torn by the end of the bytes, not by the
/// end of the segment. kCorruptLog names the place.
Result<VerifiedRun> verify_batches(common::ByteView bytes, const RunPlace& place);

/// A segment on the disk, to be read through.
struct SegmentFile {
  std::string folder;
  Segment segment;
  /// So many bytes of it are there, and only batches that lie wholly in them are looked at.
  std::uint64_t until = 0;
  /// As in RunPlace; they outlive the reading.
  std::span<const TermStart> terms;
};

/// Walks a segment from a known batch on, blocking. For jobs of the I/O pool, recovery and rare
/// searches.
class SegmentScan {
 public:
  static Result<SegmentScan> open(env::Disk& disk, const SegmentFile& file, IndexEntry from = {});
  /// The next run of whole batches; nullopt at the end. Valid until the next call. Batches in front
  /// of damage are given out; kCorruptLog: it is right at next_position().
  Result<std::optional<common::ByteView>> next_run();
  /// Position of the run that next_run() gave out last.
  std::uint64_t run_position() const { return run_position_; }
  /// Of the batch behind that run: its position, and its offset (in a compacted segment: or a
  /// higher one).
  std::uint64_t next_position() const { return position_; }
  model::Offset next_offset() const { return expected_; }

 private:
  SegmentScan() = default;
  std::unique_ptr<env::File> file_;
  std::string path_;
  Segment segment_;
  std::span<const TermStart> terms_;
  std::uint64_t until_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t run_position_ = 0;
  model::Offset expected_;
  Bytes buffer_;
};

/// Builds a segment's index from its file; blocking.
Result<SegmentIndex> build_index(env::Disk& disk, const SegmentFile& file,
                                 std::uint32_t interval_bytes);

/// Position of the batch that begins with this offset; blocking. kCorruptLog: damage, or none
/// begins there.
Result<std::uint64_t> locate_now(env::Disk& disk, const SegmentFile& file, model::Offset offset);

}  // namespace millrace::storage
