// How a replica's log begins anew behind what it held: its leader has nothing in front of there.
#include <fmt/format.h>

#include <algorithm>

#include "broker/storage/codec.h"
#include "broker/storage/partition_log.h"
#include "broker/storage/shard.h"

namespace millrace::storage {

using common::Error;
using model::ErrorCode;

void PartitionLog::reset(Offset at, std::optional<TermStart> first, Bytes producers,
                         Reply<Result<void>> durable) {
  CHECK(log_state_ == LogState::kServing);
  CHECK(Offset{0} <= at && at <= kOffsetMax, "{} is no place to begin", at);
  CHECK(!first.has_value() || (Offset{0} <= first->offset && first->offset <= at),
        "a term begins behind {}", at);
  if (shard_.refusal().has_value()) return durable(*shard_.refusal());
  ByteWriter payload;
  const std::size_t suffix_at = payload.size();
  payload.put(std::uint32_t{0});
  const common::Timestamp now = shard_.loop.clock().wall();
  payload.put(now.value());
  payload.put(first.has_value() ? first->offset.value() : std::int64_t{-1});
  payload.sized(producers);
  if (payload.size() > shard_.journal.payload_bytes_max()) {
    return durable(
        Error{ErrorCode::kRecordListTooLarge,
              fmt::format("producers of {} bytes do not fit into the journal", producers.size())});
  }
  const Anew anew{.at = at, .first = first, .folder_suffix = shard_.next_number(), .created = now};
  payload.set(suffix_at, anew.folder_suffix.value());
  shard_.journal.add({.type = EntryType::kLogReset,
                      .log = number_,
                      .offset = at,
                      .term = first.has_value() ? first->term : Term{0}},
                     payload.view());
  old_folders_.push_back(begin_anew(anew));
  // A replica that is there knows them itself.
  if (recovered_ != nullptr || !snapshot_) keep_producers(Bytes::copy_of(producers));
  complete_cut(std::move(durable));
}

// In a folder of its own: whoever is still at the old files cannot take them for the new ones, and
// they can go as a whole.
std::string PartitionLog::begin_anew(const Anew& anew) {
  std::string left = folder();
  for (const Segment& segment : segments_) shard_.indexes.drop(number_, segment.base);
  shard_.files.drop(number_);
  shard_.cache.drop(number_);
  while (!tail_.empty()) tail_.drop_front();
  folder_suffix_ = anew.folder_suffix;
  // Positions in the stream only grow.
  const std::uint64_t stream = stream_end();
  segments_.assign(1, {.base = anew.at, .end = anew.at, .stream = stream, .created = anew.created});
  leftovers_.clear();
  index_ = {};
  index_from_ = 0;
  terms_.clear();
  if (anew.first.has_value()) terms_.push_back(*anew.first);
  start_ = anew.at;
  end_ = anew.at;
  durable_ = anew.at;
  durable_start_ = anew.at;
  written_stream_ = stream;
  durable_stream_ = stream;
  ++cuts_;
  stale_completions_ = completions_;
  compacted_to_ = std::min(compacted_to_, anew.at);
  recovery_point_ = std::min(recovery_point_, anew.at);
  captured_to_ = std::min(captured_to_, anew.at);
  placed_ = {};
  kept_at_ = anew.at;
  captured_producers_at_ = anew.at;
  damage_.reset();
  return left;
}

void PartitionLog::keep_producers(Bytes producers) {
  recovered_ = std::make_unique<Recovered>();
  recovered_->producers = {.snapshot = std::move(producers), .at = end_, .batches_behind = {}};
  recovered_->files_to.offset = end_;
}

void PartitionLog::leave_old_folders() {
  if (old_folders_.empty() || cuts_under_way_ > 0 || shard_.compactor.works_on(*this)) return;
  for (std::string& path : take_old_folders())
    shard_.removals.add_folder_alone(std::move(path), settings_.file_delete_delay_ms);
}

}  // namespace millrace::storage
