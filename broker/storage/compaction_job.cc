#include "broker/storage/compaction_job.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::storage {

using common::Bytes;
using common::ByteView;
using common::Error;
using model::BatchView;
using model::ErrorCode;
using Fate = Filtered::Fate;

CompactionJob::CompactionJob(env::Disk& disk, CompactionTask task)
    : disk_(disk), task_(std::move(task)) {
  CHECK(!task_.sources.empty());
  CHECK(task_.dirty_from < task_.sources.back().end, "nothing is dirty");
}

// Takes the map's memory, which is much: in the first step, not on the shard's thread.
void CompactionJob::prepare() {
  while (task_.sources[map_source_].end <= task_.dirty_from) ++map_source_;
  const auto offsets = static_cast<std::uint64_t>(task_.sources.back().end - task_.dirty_from);
  map_.emplace(KeyMap::Bounds{.bytes_max = task_.map_bytes_max, .keys_max = offsets}, task_.secret);
  collector_.emplace(*map_, task_.limits, task_.dirty_from);
}

Result<std::optional<ByteView>> CompactionJob::next_run(const Segment& source) {
  if (!scan_.has_value()) {
    TRY_ASSIGN(scan_, SegmentScan::open(disk_, {.folder = task_.folder,
                                                .segment = source,
                                                .until = source.size,
                                                .terms = task_.terms}));
  }
  TRY_ASSIGN(const auto run, scan_->next_run());
  if (!run.has_value()) scan_.reset();
  bytes_read_ += run.has_value() ? run->size() : 0;
  return run;
}

const Segment& CompactionJob::reading() const {
  const std::size_t source = filter_.has_value() ? next_source_ : map_source_;
  CHECK(source < task_.sources.size(), "no segment is being read");
  return task_.sources[source];
}

Result<bool> CompactionJob::map_some() {
  if (!map_.has_value()) prepare();
  const std::uint64_t until = bytes_read_ + task_.step_bytes;
  while (bytes_read_ < until) {
    TRY_ASSIGN(const auto run, next_run(task_.sources[map_source_]));
    if (!run.has_value()) {
      if (++map_source_ < task_.sources.size()) continue;
      map_done();
      return true;
    }
    for (std::size_t at = 0; at < run->size();) {
      const Result<BatchView> batch = BatchView::parse(run->subspan(at));
      CHECK(batch.ok(), "the scan let a bad batch pass");
      at += batch->size();
      if (collector_->add(*batch)) continue;
      scan_.reset();
      map_done();
      return true;
    }
  }
  return false;
}

void CompactionJob::map_done() {
  // Where the map was not filled up, it knows all there is, also behind the last batch of a segment
  // that was compacted before.
  const Offset end = collector_->end();
  source_count_ = 0;
  while (source_count_ < task_.sources.size() && task_.sources[source_count_].base < end)
    ++source_count_;
  CHECK(source_count_ > 0);
  filter_.emplace(FilterRules{.latest = *map_,
                              .map_end = end,
                              .now = task_.now,
                              .delete_retention_ms = task_.delete_retention_ms,
                              .limits = task_.limits});
}

Result<void> CompactionJob::begin_output(std::uint32_t generation) {
  CHECK(filter_.has_value() && !writer_.has_value() && more_groups());
  const Segment& first = task_.sources[next_source_];
  group_begin_ = next_source_;
  left_out_.reset();
  TRY(check_space());
  write_failed_ = true;
  TRY_ASSIGN(writer_, SegmentWriter::create(
                          disk_, task_.folder,
                          {.base = first.base, .created = first.created, .generation = generation},
                          task_.index_interval_bytes));
  write_failed_ = false;
  return common::ok();
}

Result<bool> CompactionJob::copy_some() {
  CHECK(writer_.has_value());
  TRY(check_space());
  const std::uint64_t until = bytes_read_ + bytes_written_ + task_.step_bytes;
  while (bytes_read_ + bytes_written_ < until) {
    const Segment& source = task_.sources[next_source_];
    TRY_ASSIGN(const auto run, next_run(source));
    if (!run.has_value()) {
      TRY(check_source());
      read_checksum_ = 0;
      ++next_source_;
      if (!takes_next_source()) return true;
      continue;
    }
    for (std::size_t at = 0; at < run->size();) {
      const Result<BatchView> batch = BatchView::parse(run->subspan(at));
      CHECK(batch.ok(), "the scan let a bad batch pass");
      at += batch->size();
      if (source.compacted())
        read_checksum_ = extend_checksum(read_checksum_, batch->base_offset());
      read_checksum_ = extend_checksum(read_checksum_, batch->crc());
      TRY(copy(*batch));
    }
  }
  return false;
}

Result<void> CompactionJob::check_space() const {
  const auto space = disk_.space();
  if (!space.ok() || space->free >= task_.free_bytes_min) return common::ok();
  return Error{ErrorCode::kNoSpace, fmt::format("only {} bytes are free", space->free)};
}

// What each batch's own checksum does not cover: that these are the batches, at these offsets. A
// new segment would vouch for whatever is in it.
Result<void> CompactionJob::check_source() const {
  const Segment& source = task_.sources[next_source_];
  if (!source.checksum_known || source.checksum == read_checksum_) return common::ok();
  return Error{ErrorCode::kCorruptLog,
               fmt::format("{}/{} is damaged: its batches are not those that it was sealed with",
                           task_.folder, segment_name(source))};
}

// Segments that became small go together, as far as that makes none larger than it may be.
bool CompactionJob::takes_next_source() const {
  if (next_source_ == source_count_) return false;
  const Segment& next = task_.sources[next_source_];
  const Offset base = task_.sources[group_begin_].base;
  return writer_->size() + next.size <= task_.segment_bytes && next.end - base <= UINT32_MAX;
}

Result<void> CompactionJob::copy(const BatchView& batch) {
  const Filtered filtered = filter_->apply(batch);
  switch (filtered.fate) {
    case Fate::kAsIs:
      return put(batch);
    case Fate::kRewritten:
    case Fate::kEmptied:
      return put(filtered.bytes);
    case Fate::kGone:
      left_out_ = model::header_of(batch);
      break;
  }
  return common::ok();
}

Result<void> CompactionJob::put(const Bytes& bytes) {
  const Result<BatchView> batch = BatchView::parse(bytes);
  CHECK(batch.ok(), "a rewritten batch makes no sense: {}", batch.error().detail);
  return put(*batch);
}

Result<void> CompactionJob::put(const BatchView& batch) {
  left_out_.reset();
  bytes_written_ += batch.size();
  Result<void> added = writer_->add(batch);
  write_failed_ = !added.ok();
  return added;
}

Result<void> CompactionJob::finish_output() {
  CHECK(writer_.has_value() && next_source_ > group_begin_);
  if (left_out_.has_value()) TRY(put(emptied_batch(*left_out_)));
  const auto source = [&](std::size_t i) {
    return task_.sources.begin() + static_cast<std::ptrdiff_t>(i);
  };
  group_.sources.assign(source(group_begin_), source(next_source_));
  write_failed_ = true;
  TRY_ASSIGN(group_.output, writer_->finish(group_.sources.back().end));
  write_failed_ = false;
  writer_.reset();
  return common::ok();
}

}  // namespace millrace::storage
