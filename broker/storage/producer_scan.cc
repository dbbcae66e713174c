#include "broker/storage/producer_scan.h"

#include <fmt/format.h>

#include <deque>

namespace millrace::storage {
namespace {

using common::ByteView;
using common::Error;
using model::BatchView;
using model::ErrorCode;
using model::Offset;

/// Keeps the newest of what it is given.
class Collector {
 public:
  Collector(Offset from, std::uint64_t bytes_max) : from_(from), bytes_max_(bytes_max) {}

  void add(ByteView run) {
    for (std::size_t at = 0; at < run.size();) {
      const Result<BatchView> batch = BatchView::parse(run.subspan(at));
      CHECK(batch.ok(), "the scan let a bad batch pass");
      at += batch->size();
      const bool wanted =
          batch->next_offset() > from_ && batch->producer_id() != model::kNoProducerId;
      if (wanted) add(*batch);
    }
  }
  ProducersInFiles result() && {
    ProducersInFiles found{.batches = {}, .from = from_, .damage = std::nullopt};
    for (Kept& kept : kept_) found.batches.push_back(std::move(kept.bytes));
    return found;
  }

 private:
  struct Kept {
    Bytes bytes;
    Offset next;
  };
  void add(const BatchView& batch) {
    kept_.push_back({.bytes = Bytes::copy_of(batch.bytes()), .next = batch.next_offset()});
    bytes_ += batch.size();
    while (bytes_ > bytes_max_) {
      from_ = kept_.front().next;
      bytes_ -= kept_.front().bytes.size();
      kept_.pop_front();
    }
  }

  Offset from_;
  const std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::deque<Kept> kept_;
};

// Where reading the first segment begins.
IndexEntry first_place(env::Disk& disk, const ProducerSearch& search, std::uint64_t until) {
  const Segment& segment = search.segments.front();
  const auto in_front = [&](const IndexEntry& entry) {
    return entry.position < until && segment.base + entry.relative_offset <= search.from;
  };
  if (search.place.position > 0 && in_front(search.place)) return search.place;
  if (!segment.finished) return {};
  const Result<Bytes> bytes = env::read_file(disk, search.folder + "/" + index_name(segment));
  if (!bytes.ok()) return {};
  const auto index = SegmentIndex::decode(*bytes, segment);
  if (!index.has_value()) return {};
  const IndexEntry entry = index->find(search.from, segment.base);
  return in_front(entry) ? entry : IndexEntry{};
}

// Reads one segment; answers what is wrong with it.
Result<std::optional<ProducersInFiles::Damage>> read_segment(SegmentScan& scan,
                                                             const Segment& segment,
                                                             std::uint64_t until,
                                                             Collector& collector) {
  using Damage = ProducersInFiles::Damage;
  const auto damage_here = [&](Error error) {
    return std::optional(Damage{.offset = scan.next_offset(),
                                .segment_base = segment.base,
                                .position = scan.next_position(),
                                .error = std::move(error)});
  };
  for (;;) {
    const auto run = scan.next_run();
    if (!run.ok() && run.error().code != ErrorCode::kCorruptLog) return run.error();
    if (!run.ok()) return damage_here(run.error());
    if (run->has_value()) {
      collector.add(**run);
      continue;
    }
    if (scan.next_position() == until) return std::optional<Damage>();
    return damage_here(
        {ErrorCode::kCorruptLog, fmt::format("{} has no batch that ends at byte {}, as it must",
                                             segment_name(segment), until)});
  }
}

}  // namespace

Result<ProducersInFiles> find_producers(env::Disk& disk, const ProducerSearch& search) {
  CHECK(!search.segments.empty());
  Collector collector(search.from, search.bytes_max);
  std::optional<ProducersInFiles::Damage> damage;
  for (const Segment& segment : search.segments) {
    const bool last = &segment == &search.segments.back();
    const bool first = &segment == &search.segments.front();
    const std::uint64_t until = last ? search.until : segment.size;
    if (until == 0) continue;
    auto scan = SegmentScan::open(
        disk, {.folder = search.folder, .segment = segment, .until = until, .terms = search.terms},
        first ? first_place(disk, search, until) : IndexEntry{});
    if (!scan.ok() && scan.error().code != ErrorCode::kCorruptLog) return std::move(scan).error();
    if (!scan.ok()) {
      damage = ProducersInFiles::Damage{
          .offset = segment.base, .segment_base = segment.base, .error = scan.error()};
      break;
    }
    TRY_ASSIGN(damage, read_segment(*scan, segment, until, collector));
    if (damage.has_value()) break;
  }
  ProducersInFiles found = std::move(collector).result();
  found.damage = std::move(damage);
  return found;
}

}  // namespace millrace::storage
