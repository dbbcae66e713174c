// What compaction does to a log. It takes whole sealed segments that the checkpoint on the disk
// holds as complete, so neither the tail nor the write-behind has anything to do with them.
#include <algorithm>

#include "broker/storage/codec.h"
#include "broker/storage/partition_log.h"
#include "broker/storage/shard.h"

namespace millrace::storage {

std::optional<CompactionLimits> PartitionLog::compaction_limits() {
  if (!limits_) return std::nullopt;
  CompactionLimits limits = limits_();
  // What is committed in memory alone may be lost yet.
  limits.up_to = std::min(limits.up_to, durable_);
  CHECK(std::ranges::is_sorted(limits.last_batches));
  return limits;
}

Offset PartitionLog::finished_to() const {
  const auto unfinished =
      std::ranges::find_if(segments_, [](const Segment& segment) { return !segment.finished; });
  CHECK(unfinished != segments_.end(), "the active segment is finished");
  return unfinished->base;
}

std::vector<std::string> PartitionLog::files_of(const Segment& segment) const {
  const std::string name = folder() + "/";
  return {name + segment_name(segment), name + index_name(segment)};
}

std::uint32_t PartitionLog::announce_compaction(Offset base) {
  ByteWriter payload;
  payload.put(++last_generation_);
  shard_.journal.add({.type = EntryType::kCompactionBegan, .log = number_, .offset = base},
                     payload.view());
  return last_generation_;
}

// Where the sources are; nullopt: not all of them, or not as they were.
std::optional<std::size_t> PartitionLog::find_sources(const std::vector<Segment>& sources) const {
  CHECK(!sources.empty());
  const auto first = std::ranges::find_if(
      segments_, [&](const Segment& segment) { return segment.base == sources.front().base; });
  const auto at = static_cast<std::size_t>(first - segments_.begin());
  if (at + sources.size() >= segments_.size()) return std::nullopt;  // the active one is none
  const bool same =
      std::equal(sources.begin(), sources.end(), first, [](const Segment& a, const Segment& b) {
        return a.base == b.base && a.end == b.end && a.size == b.size &&
               a.generation == b.generation && b.finished;
      });
  return same ? std::optional(at) : std::nullopt;
}

bool PartitionLog::can_replace(const Replacement& replacement) const {
  return find_sources(replacement.sources).has_value();
}

void PartitionLog::replace(const Replacement& replacement) {
  const auto first = find_sources(replacement.sources);
  CHECK(first.has_value(), "segments to be replaced are not there");
  CHECK(replacement.sources.back().end <= recovery_point_);
  const Segment& output = replacement.output;
  CHECK(output.end == replacement.sources.back().end && output.size > 0);
  ByteWriter payload;
  payload.put(output.end.value());
  payload.put(output.size);
  payload.put(output.max_timestamp.value());
  payload.put(output.created.value());
  payload.put(output.checksum);
  payload.put(output.generation);
  payload.put(replacement.compacted_to.value());
  shard_.journal.add({.type = EntryType::kSegmentsReplaced, .log = number_, .offset = output.base},
                     payload.view());
  put_in_place(*first, replacement.sources.size(), output);
  compacted_to_ = std::max(compacted_to_, replacement.compacted_to);
}

void PartitionLog::put_in_place(std::size_t first, std::size_t count, Segment output) {
  const auto begin = segments_.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = begin + static_cast<std::ptrdiff_t>(count);
  for (auto source = begin; source != end; ++source) {
    shard_.indexes.drop(number_, source->base);
    shard_.files.drop(file_key(*source));
  }
  // What is still in memory of them would show readers records that are gone.
  const std::uint64_t stream_end = end->stream;
  CHECK(stream_end <= written_stream_);
  while (!tail_.empty() && tail_.front().stream < stream_end) tail_.drop_front();
  shard_.cache.drop_between(number_, output.base, output.end);
  output.stream = begin->stream;
  output.file_expected = true;
  output.finished = true;
  *begin = output;
  segments_.erase(begin + 1, end);
  ++replacements_;
}

std::vector<std::string> PartitionLog::replay_announcement(Offset base, std::uint32_t generation) {
  last_generation_ = std::max(last_generation_, generation);
  return files_of({.base = base, .generation = generation});
}

}  // namespace millrace::storage
