#include "broker/storage/partition_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/storage/codec.h"
#include "broker/storage/index_table.h"
#include "broker/storage/segment_scan.h"
#include "broker/storage/shard.h"
#include "broker/storage/time_search.h"

namespace millrace::storage {

using common::Error;
using model::BatchView;
using model::ErrorCode;

namespace {

// Larger batches stay where the journal's round was laid out; smaller ones are packed closely apart
// from it.
constexpr std::size_t kSmallBatchBytes = 4096;

}  // namespace

PartitionLog::PartitionLog(Shard& shard, LogNumber number, const PartitionKey& key,
                           std::shared_ptr<const std::string> topic, LogNumber folder_suffix)
    : shard_(shard),
      number_(number),
      folder_suffix_(folder_suffix),
      key_(key),
      topic_(std::move(topic)) {
  segments_.push_back({.created = shard_.loop.clock().wall()});
}

PartitionLog::~PartitionLog() = default;

std::optional<Error> PartitionLog::refusal(std::size_t batch_bytes) const {
  if (shard_.refusal().has_value()) return shard_.refusal();
  // Metadata may use what is kept free: deleting a topic has to write that it is deleted.
  const bool may_use_reserve = key_.topic == model::kMetadataTopicId;
  if (shard_.space.full() && !may_use_reserve) return model::error(ErrorCode::kNoSpace);
  const std::uint64_t batch_max = shard_.journal.payload_bytes_max();
  if (batch_bytes <= batch_max) return std::nullopt;
  return Error{ErrorCode::kRecordListTooLarge,
               fmt::format("a batch of {} bytes does not fit into the journal, which takes {}",
                           batch_bytes, batch_max)};
}

std::optional<Error> PartitionLog::refusal(const Bytes& batches) const {
  std::size_t largest = 0;
  for (std::size_t at = 0; at < batches.size();) {
    const std::size_t size = BatchView::announced_size(batches.view().subspan(at));
    CHECK(size >= model::kBatchHeaderBytes, "not a batch at {}", at);
    largest = std::max(largest, size);
    at += size;
  }
  return refusal(largest);
}

void PartitionLog::append(Bytes batches, Reply<Result<void>> durable) {
  CHECK(!batches.empty() && log_state_ == LogState::kServing);
  if (auto why = refusal(batches)) return durable(std::move(*why));
  for (std::size_t at = 0; at < batches.size();) {
    const Result<BatchView> batch = BatchView::parse(batches.view().subspan(at));
    CHECK(batch.ok(), "an append at {}: {}", end_, batch.error().detail);
    append_batch(*batch);
    at += batch->size();
  }
  complete(std::move(durable));
}

void PartitionLog::append_batch(const BatchView& batch) {
  CHECK(batch.base_offset() == end_, "{} [{}] ends at {}, a batch begins at {}", *topic_,
        key_.index, end_, batch.base_offset());
  CHECK(terms_.empty() || terms_.back().term == batch.leader_epoch(),
        "a batch of term {} in term {}", batch.leader_epoch(), terms_.back().term);
  roll_if_due(batch.size());
  EntryHeader entry{
      .type = EntryType::kAppended, .log = number_, .offset = end_, .term = batch.leader_epoch()};
  entry.payload_crc = batch.crc();
  Arena* arena = nullptr;
  // Where it will lie in its segment.
  std::optional<std::uint64_t> like;
  if (batch.size() >= shard_.options.direct_bytes_min) like = segments_.back().size;
  Bytes placed = shard_.journal.add(entry, batch.bytes(), &arena, like);
  const bool small = batch.size() < kSmallBatchBytes;
  if (small) placed = shard_.arenas.place(batch.bytes(), arena);
  admit(std::move(placed), batch, small);
  note(*arena, small);
}

void PartitionLog::admit(Bytes placed, const BatchView& batch, bool joinable) {
  Segment& segment = segments_.back();
  CHECK(segment.end == end_ && batch.next_offset() > end_);
  index_.add(segment.size, end_, segment.base, segment.max_timestamp,
             shard_.options.index_interval_bytes);
  tail_.add(std::move(placed), end_, segment.stream_end(), joinable && segment.size > 0);
  segment.size += batch.size();
  segment.end = batch.next_offset();
  segment.max_timestamp = std::max(segment.max_timestamp, batch.max_timestamp());
  segment.checksum = extend_checksum(segment.checksum, batch.crc());
  end_ = segment.end;
}

void PartitionLog::note(Arena& arena, bool small) {
  Noted& noted = noted_[small ? 1 : 0];
  if (noted.arena != arena.number) {
    noted = {.arena = arena.number, .use = static_cast<std::uint32_t>(arena.uses.size())};
    arena.uses.push_back({.log = number_});
  }
  CHECK(arena.uses[noted.use].log == number_);
  arena.uses[noted.use].stream_end = stream_end();
}

void PartitionLog::roll_if_due(std::size_t batch_bytes) {
  const Segment& segment = segments_.back();
  if (segment.size == 0) return;
  const bool too_large = segment.size + batch_bytes > settings_.segment_bytes;
  const bool too_old = shard_.loop.clock().wall() - segment.created > settings_.segment_ms;
  if (!too_large && !too_old) return;
  roll();
  // The write-behind may begin a checkpoint and hold the journal at once: what of this append lies
  // in front of the roll must not wait for a round behind the hold.
  complete({});
  flush_if_due();
}

void PartitionLog::roll() {
  CHECK(segments_.back().size > 0, "an empty segment is not sealed");
  const common::Timestamp now = shard_.loop.clock().wall();
  ByteWriter payload;
  payload.put(now.value());
  shard_.journal.add({.type = EntryType::kSegmentStarted, .log = number_, .offset = end_},
                     payload.view());
  begin_segment(end_, now, std::erase(leftovers_, end_) > 0);
}

void PartitionLog::begin_segment(Offset base, common::Timestamp created, bool file_expected) {
  const Segment& sealed = segments_.back();
  CHECK(sealed.end == base && sealed.size > 0);
  if (index_from_ == 0) shard_.indexes.keep(number_, sealed.base, std::move(index_));
  index_ = {};
  index_from_ = 0;
  segments_.push_back({.base = base,
                       .end = base,
                       .stream = sealed.stream_end(),
                       .created = created,
                       .file_expected = file_expected});
}

void PartitionLog::complete(Reply<Result<void>> durable) {
  ++completions_;
  shard_.journal.when_durable(
      {.client = this, .end = end_, .stream = stream_end(), .reply = std::move(durable)});
}

void PartitionLog::answer_in_order(Reply<Result<void>> durable) {
  if (completions_ == 0) return durable(common::ok());
  complete(std::move(durable));
}

void PartitionLog::entries_durable(Offset end, std::uint64_t stream) {
  CHECK(completions_ > 0);
  --completions_;
  if (stale_completions_ > 0) {
    --stale_completions_;
  } else {
    CHECK(durable_ <= end && end <= end_);
    durable_ = end;
    durable_stream_ = stream;
    flush_if_due();
  }
  if (log_state_ != LogState::kServing && !busy()) shard_.log_idle(*this);
}

void PartitionLog::flush_if_due() {
  if (cuts_under_way_ > 0) return;
  const bool chunk = durable_stream_ >= written_stream_ + shard_.options.chunk_bytes;
  const bool sealed =
      written_stream_ < segments_.back().stream && durable_stream_ > written_stream_;
  if (chunk || sealed || unfinished() != nullptr) shard_.flusher.request(*this);
}

void PartitionLog::read(Offset from, ReadLimits limits, Reply<Result<ReadResult>> done) {
  if (from < start_ || from > end_) {
    return done(Error{ErrorCode::kOffsetOutOfRange,
                      fmt::format("offset {} is outside [{}, {}]", from, start_, end_)});
  }
  limits.up_to = std::min(limits.up_to, end_);
  if (from >= limits.up_to) return done(ReadResult{.pieces = {}, .next_offset = from});
  if (!tail_.empty() && tail_.start() <= from) {
    ++shard_.stats.cache_hits;
    BatchCutter cutter(from, limits);
    tail_.read(cutter);
    return done(cutter.result());
  }
  shard_.reader.read(*this, from, limits, std::move(done));
}

void PartitionLog::find_time(common::Timestamp target, Offset up_to,
                             Reply<Result<std::optional<TimedOffset>>> done) {
  TimeSearch::first_at(shard_, *this, target, up_to, std::move(done));
}

void PartitionLog::find_max_time(Offset up_to, Reply<Result<std::optional<TimedOffset>>> done) {
  TimeSearch::newest(shard_, *this, up_to, std::move(done));
}

void PartitionLog::delete_before(Offset offset, Reply<Result<void>> durable) {
  CHECK(offset <= end_, "{} is behind the end {}", offset, end_);
  if (shard_.refusal().has_value()) return durable(*shard_.refusal());
  if (offset <= start_) return answer_in_order(std::move(durable));
  const ByteWriter producers = producers_to_keep(offset);
  shard_.journal.add({.type = EntryType::kStartMoved, .log = number_, .offset = offset},
                     producers.view());
  start_ = offset;
  prune_terms();
  complete([this, offset, folder = folder_suffix_,
            durable = std::move(durable)](Result<void> result) mutable {
    if (result.ok() && !shard_.failed() && folder == folder_suffix_) {
      durable_start_ = std::max(durable_start_, offset);
      drop_dead_segments();
    }
    durable(std::move(result));
  });
}

void PartitionLog::drop_dead_segments() {
  if (log_state_ != LogState::kServing) return;  // the whole folder goes
  const Offset dead = std::min({durable_start_, start_, durable_});
  std::size_t kept = 1;
  if (dead == end_ && segments_.back().size > 0 && segments_.back().end == dead) {
    roll();
    // Until that is durable a loss of power makes the segment the active one again: then its file
    // must be there, for the next append goes behind what is in it.
    kept = 2;
    complete([this](Result<void> begun) {
      if (begun.ok() && !shard_.failed()) drop_dead_segments();
    });
  }
  std::size_t count = 0;
  while (count + kept < segments_.size() && segments_[count].end <= dead) ++count;
  if (count == 0) return;
  for (std::size_t i = 0; i < count; ++i) remove_segment_files(segments_[i]);
  std::erase_if(leftovers_, [&](Offset base) {
    const bool dead_too = base < dead;
    if (dead_too) remove_segment_files({.base = base});
    return dead_too;
  });
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count));
  const std::uint64_t front = segments_.front().stream;
  written_stream_ = std::max(written_stream_, front);
  while (!tail_.empty() && tail_.front().stream_end() <= front) tail_.drop_front();
}

void PartitionLog::remove_segment_files(const Segment& segment) {
  shard_.indexes.drop(number_, segment.base);
  shard_.files.drop(file_key(segment));
  shard_.removals.add(files_of(segment), settings_.file_delete_delay_ms);
}

void PartitionLog::truncate(Offset offset, Reply<Result<void>> durable) {
  CHECK(start_ <= offset && offset <= end_, "{} is outside [{}, {}]", offset, start_, end_);
  CHECK(recovered_ == nullptr || recovered_->producers.at <= offset,
        "the producers at {} were not taken", recovered_->producers.at);
  if (shard_.refusal().has_value()) return durable(*shard_.refusal());
  if (offset == end_) return truncate_terms(std::move(durable));
  Result<std::uint64_t> stream = place_of_cut(offset);
  if (!stream.ok()) {
    // Whatever the reason: the cut was decided and is not made, so this log is not what its owner
    // takes it for, and nobody asks again.
    set_damage(stream.error());
    return durable(std::move(stream).error());
  }
  std::size_t segment = segments_.size() - 1;
  while (segment > 0 && segments_[segment].base > offset) --segment;
  CHECK(!segments_[segment].compacted(), "{} is in a compacted segment", offset);
  const CutPlace place{.offset = offset,
                       .segment_base = segments_[segment].base,
                       .position = *stream - segments_[segment].stream};
  log_truncation(place);
  cut(offset, segment, place.position);
  forget_recovered(place);
  complete_cut(std::move(durable));
}

void PartitionLog::log_truncation(const CutPlace& place) {
  ByteWriter payload;
  payload.put(place.segment_base.value());
  payload.put(place.position);
  if (place.damage) payload.put(std::uint8_t{1});
  shard_.journal.add({.type = EntryType::kTruncated, .log = number_, .offset = place.offset},
                     payload.view());
}

// Files stay as they are until the entry is durable.
void PartitionLog::complete_cut(Reply<Result<void>> durable) {
  // The write-behind that makes room in the journal waits for this entry.
  if (shard_.journal.held()) shard_.journal.let_pass();
  ++cuts_under_way_;
  complete([this, durable = std::move(durable)](Result<void> result) mutable {
    --cuts_under_way_;
    if (result.ok() && log_state_ != LogState::kRemoved) {
      if (!flush_.running) leave_old_folders();
      // A write-behind that was asked for meanwhile was put off.
      shard_.flusher.request(*this);
    }
    if (durable) durable(std::move(result));
  });
}

// Terms that wrote nothing go by themselves.
void PartitionLog::truncate_terms(Reply<Result<void>> durable) {
  if (terms_.empty() || terms_.back().offset < end_) return answer_in_order(std::move(durable));
  log_truncation(
      {.offset = end_, .segment_base = segments_.back().base, .position = segments_.back().size});
  cut_terms(end_);
  complete(std::move(durable));
}

// What was in front of there may have been taken away by records behind, which would go.
Result<std::uint64_t> PartitionLog::place_of_cut(Offset offset) const {
  Offset compacted = compacted_to_;
  // A run that is not at its end has put some of its segments in place already.
  for (const Segment& segment : segments_) {
    if (segment.compacted()) compacted = std::max(compacted, segment.end);
  }
  if (offset >= compacted) return stream_of(offset);
  return Error{ErrorCode::kCorruptLog,
               fmt::format("{} [{}] is to be cut back to {}, and was compacted up to {}", *topic_,
                           key_.index, offset, compacted)};
}

Result<std::uint64_t> PartitionLog::stream_of(Offset offset) const {
  if (!tail_.empty() && tail_.start() <= offset) {
    const auto stream = tail_.stream_of(offset);
    CHECK(stream.has_value(), "{} is not a batch boundary", offset);
    return *stream;
  }
  const Segment& segment = segment_of(offset);
  if (segment.base == offset) return segment.stream;
  // What is not in memory is in the file.
  TRY_ASSIGN(const std::uint64_t position, locate_now(shard_.disk,
                                                      {.folder = folder(),
                                                       .segment = segment,
                                                       .until = written_bytes(segment),
                                                       .terms = terms_},
                                                      offset));
  return segment.stream + position;
}

const Segment& PartitionLog::segment_of(Offset offset) const {
  auto segment =
      std::upper_bound(segments_.begin(), segments_.end(), offset,
                       [](Offset wanted, const Segment& other) { return wanted < other.base; });
  CHECK(segment != segments_.begin(), "{} is in front of the first segment", offset);
  return *--segment;
}

void PartitionLog::cut(Offset offset, std::size_t keep, std::uint64_t position) {
  CHECK(keep < segments_.size() && position <= segments_[keep].size);
  while (segments_.size() > keep + 1) {
    const Segment& gone = segments_.back();
    CHECK(!gone.compacted(), "a compacted segment at {} is cut away", gone.base);
    shard_.indexes.drop(number_, gone.base);
    shard_.files.drop(file_key(gone));
    leftovers_.push_back(gone.base);
    segments_.pop_back();
    index_ = {};
    index_from_ = UINT64_MAX;  // of the segment that is active again nothing is in memory
  }
  Segment& active = segments_.back();
  if (index_from_ == UINT64_MAX) shard_.indexes.drop(number_, active.base);
  index_.cut(position);
  index_from_ = std::min(index_from_, position);
  active.size = position;
  active.end = offset;
  active.finished = false;
  active.file_expected = true;
  active.checksum_known = position == 0;
  active.checksum = 0;
  if (position == 0) active.max_timestamp = common::Timestamp{-1};
  end_ = offset;
  tail_.cut(stream_end());
  ++cuts_;
  stale_completions_ = completions_;
  written_stream_ = std::min(written_stream_, stream_end());
  durable_stream_ = std::min(durable_stream_, stream_end());
  durable_ = std::min(durable_, end_);
  flush_.forced_to = std::min(flush_.forced_to, stream_end());
  checkpoint_target_ = std::min(checkpoint_target_, stream_end());
  // The checkpoint may hold this segment as it was before.
  recovery_point_ = std::min(recovery_point_, active.base);
  captured_to_ = std::min(captured_to_, active.base);
  kept_at_ = std::min(kept_at_, offset);
  captured_producers_at_ = std::min(captured_producers_at_, offset);
  cut_terms(offset);
  shard_.cache.drop_from(number_, offset);
}

void PartitionLog::cut_terms(Offset offset) {
  while (!terms_.empty() && terms_.back().offset >= offset) terms_.pop_back();
}

void PartitionLog::start_term(TermStart start, Reply<Result<void>> durable) {
  CHECK(start.offset == end_, "a term begins at {}, the log ends at {}", start.offset, end_);
  CHECK(terms_.empty() || terms_.back().term < start.term);
  if (shard_.refusal().has_value()) return durable(*shard_.refusal());
  shard_.journal.add(
      {.type = EntryType::kTermStarted, .log = number_, .offset = start.offset, .term = start.term},
      {});
  add_term(start);
  complete(std::move(durable));
}

void PartitionLog::add_term(TermStart start) {
  if (!terms_.empty() && terms_.back().offset == start.offset) terms_.pop_back();
  terms_.push_back(start);
}

void PartitionLog::put_state(Bytes state, Reply<Result<void>> durable) {
  CHECK(log_state_ == LogState::kServing);
  CHECK(state.size() <= kStateBytesMax, "a state of {} bytes", state.size());
  if (shard_.refusal().has_value()) return durable(*shard_.refusal());
  shard_.journal.add({.type = EntryType::kState, .log = number_}, state);
  // A copy: the caller's bytes may be a part of something large.
  replica_state_ = Bytes::copy_of(state);
  lost_suffix_ = false;
  complete(std::move(durable));
}

// The term in front of the start stays: what begins right at the start may still be cut off.
void PartitionLog::prune_terms() {
  while (terms_.size() > 1 && terms_[1].offset < start_) terms_.erase(terms_.begin());
}

void PartitionLog::set_settings(const LogSettings& settings) {
  settings_ = settings;
  settings_known_ = true;
}

std::optional<Error> PartitionLog::damage() const {
  return damage_ == nullptr ? std::nullopt : std::optional(*damage_);
}

void PartitionLog::set_damage(Error error) {
  if (damage_ != nullptr) return;
  damage_ = std::make_unique<Error>(std::move(error));
  if (damage_found_) damage_found_();
}

FileTable::Key PartitionLog::file_key(const Segment& segment) const {
  return {.log = number_,
          .base = segment.base,
          .generation = segment.generation,
          .folder = folder_suffix_};
}

Offset PartitionLog::removable_to() {
  return retention_limit_ ? std::min(durable_, retention_limit_()) : durable_;
}

bool PartitionLog::evict(std::uint64_t to) {
  const std::uint64_t limit = std::min(to, stream_end());
  while (!tail_.empty() && tail_.front().stream < limit) {
    if (tail_.front().stream_end() > written_stream_) return false;
    tail_.drop_front();
  }
  return true;
}

void PartitionLog::drop_memory() {
  while (!tail_.empty()) tail_.drop_front();
  recovered_.reset();
  shard_.cache.drop(number_);
  shard_.files.drop(number_);
  for (const Segment& segment : segments_) shard_.indexes.drop(number_, segment.base);
}

void PartitionLog::complete_index(Offset segment_base, const SegmentIndex& front) {
  if (segments_.back().base != segment_base || index_from_ == 0) return;
  SegmentIndex whole = front;
  whole.cut(index_from_);
  whole.append(index_);
  index_ = std::move(whole);
  index_from_ = 0;
}

const Segment* PartitionLog::unfinished() const {
  // Segments are finished in order, so only those right in front of the active one can be left
  // over.
  std::size_t i = segments_.size() - 1;
  while (i > 0 && !segments_[i - 1].finished) --i;
  if (i + 1 == segments_.size()) return nullptr;
  return segments_[i].stream_end() <= written_stream_ ? &segments_[i] : nullptr;
}

void PartitionLog::finished(Offset segment_base) {
  for (Segment& segment : segments_) {
    if (segment.base == segment_base && &segment != &segments_.back()) segment.finished = true;
  }
}

void PartitionLog::written(std::uint64_t stream, std::uint64_t cuts) {
  if (cuts == cuts_) written_stream_ = std::max(written_stream_, stream);
}

std::uint64_t PartitionLog::size_bytes() const {
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.size;
  return bytes;
}

std::uint64_t PartitionLog::written_bytes(const Segment& segment) const {
  if (segment.compacted()) return segment.size;
  return std::min(segment.size, written_stream_ - std::min(written_stream_, segment.stream));
}

bool PartitionLog::holds(const Segment& segment) const {
  return std::ranges::any_of(segments_, [&](const Segment& other) {
    return other.base == segment.base && other.generation == segment.generation;
  });
}

bool PartitionLog::holds_segment(Offset base) const {
  return std::any_of(segments_.begin(), segments_.end(),
                     [&](const Segment& segment) { return segment.base == base; });
}

void PartitionLog::file_made(Offset segment_base) {
  for (Segment& segment : segments_) {
    if (segment.base == segment_base) segment.file_expected = true;
  }
}

void PartitionLog::unpin() {
  CHECK(pins_ > 0);
  --pins_;
  if (log_state_ != LogState::kServing && !busy()) shard_.log_idle(*this);
}

}  // namespace millrace::storage
