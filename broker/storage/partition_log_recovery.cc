// What recovery does to a log: the same changes as in partition_log.cc, told by the checkpoint and
// the journal. The journal may be damaged in ways its checksums do not show, so what does not join
// is an error here, not a CHECK.
#include <fmt/format.h>

#include <algorithm>

#include "broker/storage/partition_log.h"
#include "broker/storage/shard.h"

namespace millrace::storage {
namespace {

using common::Error;
using model::BatchView;
using model::ErrorCode;

Error does_not_join(const PartitionLog& log, std::string_view what, Offset at) {
  return {ErrorCode::kCorruptLog,
          fmt::format("the journal does not join: {} at {} in {} [{}], which holds [{}, {})", what,
                      at, log.topic_name(), log.key().index, log.start_offset(), log.end_offset())};
}

}  // namespace

void PartitionLog::restore(Restored restored) {
  CHECK(!restored.segments.empty() && completions_ == 0);
  segments_ = std::move(restored.segments);
  terms_ = std::move(restored.terms);
  start_ = restored.start;
  end_ = segments_.back().end;
  state_ = restored.state;
  leftovers_ = std::move(restored.leftovers);
  compacted_to_ = restored.compacted_to;
  last_generation_ = restored.last_generation;
  std::uint64_t stream = 0;
  for (Segment& segment : segments_) {
    segment.stream = stream;
    segment.file_expected = true;
    stream = segment.stream_end();
  }
  written_stream_ = stream;
  index_from_ = segments_.back().size;
  if (restored.compactable) recovery_point_ = finished_to();
  replayed();
  if (!restored.snapshot.empty()) {
    recovered_ = std::make_unique<RecoveredProducers>();
    recovered_->snapshot = std::move(restored.snapshot);
    recovered_->at = restored.snapshot_at;
  }
}

Result<void> PartitionLog::replay_batch(const Bytes& bytes, const BatchView& batch, Arena& arena) {
  if (batch.base_offset() != end_)
    return does_not_join(*this, "a batch begins", batch.base_offset());
  admit(bytes, batch, false);
  note(arena, false);
  if (batch.producer_id() != model::kNoProducerId) {
    if (recovered_ == nullptr) {
      recovered_ = std::make_unique<RecoveredProducers>();
      recovered_->at = durable_;
    }
    recovered_->batches_behind.push_back(bytes);
  }
  return common::ok();
}

Result<void> PartitionLog::replay_truncation(Offset offset, Offset segment_base,
                                             std::uint64_t position) {
  if (offset < segments_.front().base || offset > end_)
    return does_not_join(*this, "a truncation", offset);
  std::size_t keep = 0;
  while (keep < segments_.size() && segments_[keep].base != segment_base) ++keep;
  if (keep == segments_.size() || position > segments_[keep].size) {
    return does_not_join(*this, "a truncation", offset);
  }
  if (offset < compacted_to_ || segments_[keep].compacted())
    return does_not_join(*this, "a truncation", offset);
  cut(offset, keep, position);
  if (recovered_ != nullptr) {
    std::erase_if(recovered_->batches_behind, [&](const Bytes& bytes) {
      const Result<BatchView> batch = BatchView::parse(bytes);
      CHECK(batch.ok());
      return batch->base_offset() >= offset;
    });
  }
  return common::ok();
}

Result<void> PartitionLog::replay_start(Offset start) {
  if (start > end_) return does_not_join(*this, "the start moves", start);
  start_ = std::max(start_, start);
  prune_terms();
  return common::ok();
}

Result<void> PartitionLog::replay_term(TermStart start) {
  const bool joins = start.offset == end_ && (terms_.empty() || terms_.back().term < start.term);
  if (!joins) return does_not_join(*this, "a term begins", start.offset);
  add_term(start);
  return common::ok();
}

Result<void> PartitionLog::replay_segment(Offset base, common::Timestamp created) {
  if (base != end_ || segments_.back().size == 0)
    return does_not_join(*this, "a segment begins", base);
  // Its file is from before the restart, if there is one.
  std::erase(leftovers_, base);
  begin_segment(base, created, true);
  return common::ok();
}

Result<std::vector<Segment>> PartitionLog::replay_replacement(const Segment& output,
                                                              Offset compacted_to) {
  const auto first = std::ranges::find_if(
      segments_, [&](const Segment& segment) { return segment.base == output.base; });
  auto last = first;
  while (last != segments_.end() && last->end < output.end) ++last;
  const bool joins = last != segments_.end() && last->end == output.end && output.size > 0 &&
                     output.size <= kSegmentBytesMax && output.compacted() &&
                     last + 1 != segments_.end() && output.end <= durable_ && compacted_to <= end_;
  const bool finished = joins && std::all_of(first, last + 1, [](const Segment& segment) {
                          return segment.finished;
                        });
  if (!finished) return does_not_join(*this, "a compacted segment begins", output.base);
  std::vector<Segment> sources(first, last + 1);
  put_in_place(static_cast<std::size_t>(first - segments_.begin()), sources.size(), output);
  compacted_to_ = std::max(compacted_to_, compacted_to);
  last_generation_ = std::max(last_generation_, output.generation);
  return sources;
}

void PartitionLog::replayed() {
  durable_ = end_;
  durable_stream_ = stream_end();
  durable_start_ = start_;
}

}  // namespace millrace::storage
