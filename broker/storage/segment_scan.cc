#include "broker/storage/segment_scan.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/storage/epoch_check.h"

namespace millrace::storage {
namespace {

using common::ByteView;
using common::Error;
using model::BatchView;
using model::ErrorCode;
using model::Offset;

constexpr std::size_t kScanBytes = 1 << 20;

Error damaged(const std::string& path, std::uint64_t position, const std::string& what) {
  return {ErrorCode::kCorruptLog,
          fmt::format("{} is damaged at byte {}: {}", path, position, what)};
}

bool belongs(const BatchView& batch, Offset expected, const Segment& segment) {
  if (!segment.compacted()) return batch.base_offset() == expected;
  return batch.base_offset() >= expected && batch.base_offset() < segment.end &&
         batch.next_offset() <= segment.end;
}

std::string wrong_epoch(const BatchView& batch) {
  return fmt::format("the batch at offset {} says that it is of term {}, which wrote nothing there",
                     batch.base_offset(), batch.leader_epoch());
}

// In front of an error `run` is right.
Result<void> verify_into(VerifiedRun& run, ByteView bytes, const RunPlace& place) {
  const std::string& path = place.path;
  CHECK(place.position <= place.segment.size);
  const std::uint64_t segment_left = place.segment.size - place.position;
  EpochCheck epochs(place.terms, run.end);
  while (run.bytes < bytes.size()) {
    const ByteView rest = bytes.subspan(run.bytes);
    const std::uint64_t at = place.position + run.bytes;
    if (rest.size() < model::kBatchHeaderBytes && rest.size() < segment_left - run.bytes)
      return common::ok();
    const std::size_t size = BatchView::announced_size(rest);
    if (size < model::kBatchHeaderBytes || size > segment_left - run.bytes) {
      return damaged(path, at, fmt::format("no batch of {} bytes fits there", size));
    }
    if (size > rest.size()) {
      run.next_batch_bytes = size;
      return common::ok();
    }
    const Result<BatchView> batch = BatchView::parse(rest);
    if (!batch.ok()) return damaged(path, at, batch.error().detail);
    if (!belongs(*batch, run.end, place.segment)) {
      return damaged(path, at,
                     fmt::format("a batch begins with offset {} where {} belongs",
                                 batch->base_offset(), run.end));
    }
    if (!batch->crc_matches())
      return damaged(
          path, at,
          fmt::format("the batch at offset {} has a wrong checksum", batch->base_offset()));
    if (!epochs.passes(*batch)) return damaged(path, at, wrong_epoch(*batch));
    run.bytes += size;
    run.end = batch->next_offset();
  }
  return common::ok();
}

}  // namespace

Result<VerifiedRun> verify_batches(ByteView bytes, const RunPlace& place) {
  VerifiedRun run{.bytes = 0, .end = place.expected};
  TRY(verify_into(run, bytes, place));
  return run;
}

Result<SegmentScan> SegmentScan::open(env::Disk& disk, const SegmentFile& file, IndexEntry from) {
  SegmentScan scan;
  scan.path_ = file.folder + "/" + segment_name(file.segment);
  auto opened = disk.open(scan.path_, {});
  if (!opened.ok()) {
    if (opened.error().code != ErrorCode::kNotFound) return std::move(opened).error();
    return {ErrorCode::kCorruptLog, fmt::format("{} is missing", scan.path_)};
  }
  scan.file_ = std::move(opened).value();
  scan.until_ = file.until;
  scan.segment_ = file.segment;
  scan.terms_ = file.terms;
  scan.position_ = from.position;
  scan.expected_ = file.segment.base + from.relative_offset;
  scan.buffer_ = Bytes::allocate(kScanBytes, common::kDiskAlignment);
  return scan;
}

Result<std::optional<ByteView>> SegmentScan::next_run() {
  if (position_ >= until_) return std::optional<ByteView>();
  for (;;) {
    const std::uint64_t start = round_down(position_, common::kDiskAlignment);
    const std::uint64_t wanted =
        std::min<std::uint64_t>(buffer_.size(), round_up(until_ - start, common::kDiskAlignment));
    TRY_ASSIGN(const std::size_t got, file_->read_now(start, buffer_.mutable_view().first(wanted)));
    const std::size_t skip = position_ - start;
    const std::size_t there = std::min<std::uint64_t>(got, until_ - start);
    const bool short_file = there < std::min<std::uint64_t>(wanted, until_ - start);
    const ByteView bytes = buffer_.view().subspan(skip, there - std::min(skip, there));
    VerifiedRun run{.bytes = 0, .end = expected_};
    const Result<void> verified = verify_into(run, bytes,
                                              {.segment = segment_,
                                               .position = position_,
                                               .expected = expected_,
                                               .path = path_,
                                               .terms = terms_});
    if (run.bytes == 0) {
      TRY(verified);
      if (short_file)
        return damaged(path_, start + there,
                       fmt::format("the file ends there, {} bytes belong to it", until_));
      if (start + there == until_) return std::optional<ByteView>();
      const std::size_t needed = skip + std::max(run.next_batch_bytes, buffer_.size());
      buffer_ =
          Bytes::allocate(round_up(needed + 1, common::kDiskAlignment), common::kDiskAlignment);
      continue;
    }
    run_position_ = position_;
    position_ += run.bytes;
    expected_ = run.end;
    return std::optional(bytes.first(run.bytes));
  }
}

Result<SegmentIndex> build_index(env::Disk& disk, const SegmentFile& file,
                                 std::uint32_t interval_bytes) {
  TRY_ASSIGN(SegmentScan scan, SegmentScan::open(disk, file));
  SegmentIndex index;
  common::Timestamp max_timestamp{-1};
  for (;;) {
    TRY_ASSIGN(const auto run, scan.next_run());
    if (!run.has_value()) return index;
    for (std::size_t at = 0; at < run->size();) {
      const Result<BatchView> batch = BatchView::parse(run->subspan(at));
      CHECK(batch.ok());
      index.add(scan.run_position() + at, batch->base_offset(), file.segment.base, max_timestamp,
                interval_bytes);
      max_timestamp = std::max(max_timestamp, batch->max_timestamp());
      at += batch->size();
    }
  }
}

Result<std::uint64_t> locate_now(env::Disk& disk, const SegmentFile& file, Offset offset) {
  TRY_ASSIGN(SegmentScan scan, SegmentScan::open(disk, file));
  for (;;) {
    TRY_ASSIGN(const auto run, scan.next_run());
    if (!run.has_value()) {
      return {ErrorCode::kCorruptLog,
              fmt::format("no batch begins with offset {} in {}", offset, file.folder)};
    }
    for (std::size_t at = 0; at < run->size();) {
      const Result<BatchView> batch = BatchView::parse(run->subspan(at));
      CHECK(batch.ok());
      if (batch->base_offset() == offset) return scan.run_position() + at;
      at += batch->size();
    }
  }
}

}  // namespace millrace::storage
