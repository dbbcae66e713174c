// What recovery does to a log: the same changes as in partition_log.cc, told by the checkpoint and
// the journal. The journal may be damaged in ways its checksums do not show, so what does not join
// is an error here, not a CHECK.
#include <fmt/format.h>

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
  std::uint64_t stream = 0;
  for (Segment& segment : segments_) {
    segment.stream = stream;
    segment.file_expected = true;
    stream = segment.stream_end();
  }
  written_stream_ = stream;
  index_from_ = segments_.back().size;
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

void PartitionLog::replayed() {
  durable_ = end_;
  durable_stream_ = stream_end();
  durable_start_ = start_;
}

}  // namespace millrace::storage
