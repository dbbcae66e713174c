// What a log keeps of its producers: for the replica when it starts, and in checkpoints.
#include <fmt/format.h>

#include <algorithm>

#include "broker/storage/codec.h"
#include "broker/storage/partition_log.h"
#include "broker/storage/shard.h"

namespace millrace::storage {

using common::Error;
using model::BatchView;
using model::ErrorCode;

Log::RecoveredProducers PartitionLog::take_recovered_producers() {
  if (recovered_ == nullptr) return {.snapshot = {}, .at = durable_, .batches_behind = {}};
  RecoveredProducers taken = std::move(recovered_->producers);
  recovered_.reset();
  return taken;
}

PartitionLog::ProducersForCheckpoint PartitionLog::producers_for_checkpoint() {
  ProducersForCheckpoint answer{.producers = {.bytes = {}, .at = end_}, .place = {}};
  ProducersAt& producers = answer.producers;
  if (recovered_ != nullptr) {
    producers = {.bytes = recovered_->producers.snapshot, .at = recovered_->producers.at};
  } else if (snapshot_ && log_state_ == LogState::kServing) {  // nobody takes up one set aside
    producers = snapshot_();
  }
  CHECK(producers.at <= end_, "the producers at {} are beyond the end {}", producers.at, end_);
  if (producers.at != placed_.at || placed_.place == IndexEntry{})
    placed_ = {.at = producers.at, .place = place_of(producers.at)};
  answer.place = placed_.place;
  captured_producers_at_ = producers.at;
  return answer;
}

// The checkpoint may know the producers at an earlier offset than where the log begins from now on.
// What lies between is gone soon, and with it what it says of them: so they are kept once more.
ByteWriter PartitionLog::producers_to_keep(Offset start) {
  ByteWriter payload;
  if (!snapshot_ || recovered_ != nullptr || start <= kept_at_) return payload;
  const ProducersAt producers = snapshot_();
  if (producers.at <= kept_at_) return payload;
  CHECK(producers.at <= end_, "the producers at {} are beyond the end {}", producers.at, end_);
  payload.put(producers.at.value());
  payload.sized(producers.bytes);
  if (payload.size() > shard_.journal.payload_bytes_max()) return {};
  kept_at_ = producers.at;
  return payload;
}

Result<void> PartitionLog::replay_kept_producers(common::ByteView payload) {
  ByteReader in(payload);
  const Offset at{in.get<std::int64_t>()};
  Bytes snapshot = Bytes::copy_of(in.sized());
  if (in.failed() || in.left() > 0 || at < Offset{0} || at > end_)
    return Error{ErrorCode::kCorruptLog,
                 fmt::format("producers of {} [{}] at {} do not fit", *topic_, key_.index, at)};
  kept_at_ = at;
  if (recovered_ == nullptr) {
    recovered_ = std::make_unique<Recovered>();
    recovered_->files_to.offset = at;
  }
  RecoveredProducers& producers = recovered_->producers;
  // The batches in front of it stay until the end: a cut that is still to come may void it.
  producers.snapshot = std::move(snapshot);
  producers.at = at;
  recovered_->forgotten = false;
  return common::ok();
}

// Something in front of the batch at this offset, in its segment, from where start-up can read.
IndexEntry PartitionLog::place_of(Offset at) const {
  if (at < start_ || at >= end_) return {};
  const Segment& segment = segment_of(at);
  if (segment.compacted()) return {};
  if (!tail_.empty() && tail_.start() <= at) {
    const Piece& piece = tail_.piece_of(at);
    CHECK(piece.stream >= segment.stream, "a piece is in two segments");
    const std::uint64_t position = piece.stream - segment.stream;
    const auto ahead = static_cast<std::uint64_t>(piece.base - segment.base);
    if (position > UINT32_MAX || ahead > UINT32_MAX) return {};
    return {.relative_offset = static_cast<std::uint32_t>(ahead),
            .position = static_cast<std::uint32_t>(position)};
  }
  if (&segment == &segments_.back()) return index_.find(at, segment.base);
  return {};  // it has an index file
}

// A cut takes away what lies behind it from what recovery found.
void PartitionLog::forget_recovered(const CutPlace& place) {
  if (placed_.at > place.offset) placed_ = {};
  if (recovered_ == nullptr) return;
  RecoveredProducers& producers = recovered_->producers;
  std::erase_if(producers.batches_behind, [&](const Bytes& bytes) {
    const Result<BatchView> batch = BatchView::parse(bytes);
    CHECK(batch.ok());
    return batch->base_offset() >= place.offset;
  });
  if (place.offset <= recovered_->files_to.offset) recovered_->files_to = place;
  if (producers.at <= place.offset) return;
  if (producers.snapshot.empty()) {
    producers.at = place.offset;  // without producers there, there were none in front of it
    return;
  }
  // It has producers in it as they were behind the cut: all must come from the log again.
  producers.snapshot = {};
  producers.at = Offset{0};
  recovered_->forgotten = true;
}

ProducerSearch PartitionLog::producer_search() const {
  const CutPlace& to = recovered_->files_to;
  ProducerSearch search{.folder = folder(), .segments = {}, .terms = terms_, .until = to.position};
  search.from = std::max(recovered_->producers.at, start_);
  const auto last = std::ranges::find_if(
      segments_, [&](const Segment& segment) { return segment.base == to.segment_base; });
  CHECK(last != segments_.end(), "the segment at {}, where the journal began, is gone",
        to.segment_base);
  auto first = segments_.begin();
  while (first != last && first->end <= search.from) ++first;
  if (recovered_->forgotten) {
    search.bytes_max = shard_.options.journal_bytes_max;
    std::uint64_t bytes = to.position;
    auto wanted = last;
    while (wanted != first && bytes + std::prev(wanted)->size <= search.bytes_max)
      bytes += (--wanted)->size;
    if (wanted != first) search.from = wanted->base;
    first = wanted;
  } else if (search.from == placed_.at && !first->compacted()) {
    search.place = placed_.place;
  }
  search.segments.assign(first, last + 1);
  return search;
}

Result<void> PartitionLog::recover_producers(std::vector<std::string>& damages) {
  if (recovered_ == nullptr || log_state_ != LogState::kServing) return common::ok();
  RecoveredProducers& producers = recovered_->producers;
  if (recovered_->forgotten) producers.at = std::max(producers.at, start_);
  // A state knows the batch that it lies in; without one that batch is still to be told.
  std::erase_if(producers.batches_behind, [&](const Bytes& bytes) {
    const Result<BatchView> batch = BatchView::parse(bytes);
    CHECK(batch.ok());
    const Offset told = recovered_->forgotten ? batch->last_offset() : batch->base_offset();
    return told < producers.at;
  });
  if (std::max(producers.at, start_) >= recovered_->files_to.offset) return common::ok();
  const ProducerSearch search = producer_search();
  TRY_ASSIGN(ProducersInFiles found, find_producers(shard_.disk, search));
  if (found.damage.has_value()) damages.push_back(damaged_at_start(*found.damage));
  producers.batches_behind.insert(producers.batches_behind.begin(),
                                  std::make_move_iterator(found.batches.begin()),
                                  std::make_move_iterator(found.batches.end()));
  if (recovered_->forgotten) producers.at = found.from;
  return common::ok();
}

// What lies behind the producers' state may be missing in a log: other replicas have it, or nobody
// was told that it is there. What lies in front of it may not, so there the log just stays damaged.
std::string PartitionLog::damaged_at_start(const ProducersInFiles::Damage& damage) {
  CutPlace place{.offset = damage.offset,
                 .segment_base = damage.segment_base,
                 .position = damage.position,
                 .damage = true};
  const auto segment = std::ranges::find_if(
      segments_, [&](const Segment& other) { return other.base == place.segment_base; });
  CHECK(segment != segments_.end());
  const Offset known = std::max({recovered_->producers.at, start_, compacted_to_});
  const bool behind = !recovered_->forgotten && place.offset >= known &&
                      place.offset < segment->end &&
                      std::none_of(segment, segments_.end(),
                                   [](const Segment& other) { return other.compacted(); });
  if (!behind) {
    set_damage(damage.error);
    return fmt::format("{}: {} [{}] is not served", damage.error.detail, *topic_, key_.index);
  }
  std::string told = fmt::format("{}: {} [{}] is cut back from {} to {}", damage.error.detail,
                                 *topic_, key_.index, end_, place.offset);
  log_truncation(place);
  cut(place.offset, static_cast<std::size_t>(segment - segments_.begin()), place.position);
  forget_recovered(place);
  lost_suffix_ = true;
  complete_cut({});
  return told;
}

}  // namespace millrace::storage
