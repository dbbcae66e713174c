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
  log_state_ = restored.state;
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
  replica_state_ = std::move(restored.replica_state);
  lost_suffix_ = restored.lost_suffix;
  ProducersAt& producers = restored.producers;
  placed_ = {.at = producers.at, .place = restored.producers_place};
  kept_at_ = producers.at;
  if (producers.bytes.empty() && producers.at == end_) return;
  const Segment& active = segments_.back();
  recovered_ = std::make_unique<Recovered>(Recovered{
      .producers = {.snapshot = std::move(producers.bytes), .at = producers.at},
      .files_to = {.offset = end_, .segment_base = active.base, .position = active.size}});
}

Result<void> PartitionLog::replay_batch(const Bytes& bytes, const BatchView& batch, Arena& arena) {
  if (batch.base_offset() != end_)
    return does_not_join(*this, "a batch begins", batch.base_offset());
  admit(bytes, batch, false);
  note(arena, false);
  if (batch.producer_id() == model::kNoProducerId) return common::ok();
  if (recovered_ == nullptr) {
    recovered_ = std::make_unique<Recovered>();
    recovered_->producers.at = batch.base_offset();
    recovered_->files_to.offset = batch.base_offset();
  }
  recovered_->producers.batches_behind.push_back(bytes);
  return common::ok();
}

Result<void> PartitionLog::replay_truncation(const CutPlace& place) {
  const Offset offset = place.offset;
  if (offset < segments_.front().base || offset > end_)
    return does_not_join(*this, "a truncation", offset);
  if (offset == end_) {
    cut_terms(offset);
    return common::ok();
  }
  const auto last = std::ranges::find_if(
      segments_, [&](const Segment& segment) { return segment.base == place.segment_base; });
  const bool joins = last != segments_.end() && place.position <= last->size &&
                     last->base <= offset && offset <= last->end && offset >= compacted_to_ &&
                     (last + 1 == segments_.end() || offset < last[1].base) &&
                     std::none_of(last, segments_.end(),
                                  [](const Segment& segment) { return segment.compacted(); });
  if (!joins) return does_not_join(*this, "a truncation", offset);
  cut(offset, static_cast<std::size_t>(last - segments_.begin()), place.position);
  forget_recovered(place);
  lost_suffix_ = lost_suffix_ || place.damage;
  return common::ok();
}

Result<void> PartitionLog::replay_start(Offset start, common::ByteView producers) {
  if (start > end_) return does_not_join(*this, "the start moves", start);
  if (!producers.empty()) TRY(replay_kept_producers(producers));
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

Result<void> PartitionLog::replay_state(const Bytes& state) {
  if (state.size() > kStateBytesMax) return does_not_join(*this, "a replica's state is put", end_);
  replica_state_ = Bytes::copy_of(state);
  lost_suffix_ = false;
  return common::ok();
}

Result<std::string> PartitionLog::replay_reset(const Anew& anew, Bytes producers) {
  const bool joins = anew.at >= Offset{0} && anew.at <= kOffsetMax &&
                     anew.folder_suffix != folder_suffix_ &&
                     (!anew.first.has_value() ||
                      (anew.first->offset >= Offset{0} && anew.first->offset <= anew.at));
  if (!joins) return does_not_join(*this, "it is reset", anew.at);
  std::string left = begin_anew(anew);
  // Its file is from before the restart, if there is one.
  segments_.back().file_expected = true;
  keep_producers(std::move(producers));
  return left;
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
