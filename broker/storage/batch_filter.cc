#include "broker/storage/batch_filter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "broker/model/batch_rules.h"
#include "broker/model/compression.h"
#include "broker/model/record.h"
#include "common/varint.h"

namespace millrace::storage {
namespace {

using common::Bytes;
using common::ByteView;
using common::Timestamp;
using model::BatchView;
using Fate = Filtered::Fate;

constexpr std::uint16_t kCompressionBits = 0x07;
constexpr std::uint16_t kDeleteHorizonBit = 0x40;
// A batch with more is no producer's own: nine bytes each, which pack to next to nothing. Each one
// takes 24 bytes of memory while the batch is looked at.
constexpr std::int32_t kRecordsMax = 1 << 20;

/// A record with the bytes it was read from, its length in front.
struct RawRecord {
  ByteView bytes;
  model::RecordView view;
};

/// Walks the records of a batch. Offsets must grow and stay inside the batch.
class RawRecords {
 public:
  RawRecords(const BatchView& batch, ByteView records)
      : rest_(records), left_(batch.record_count()), delta_max_(batch.last_offset_delta()) {}
  /// nullopt behind the last one, or where the records are not what they should be: failed().
  std::optional<RawRecord> next() {
    if (left_ == 0) {
      failed_ = failed_ || !rest_.empty();
      return std::nullopt;
    }
    ByteView behind = rest_;
    const auto length = common::read_varint(behind);
    const std::int64_t size = length ? common::unzigzag(*length) : -1;
    if (size < 0 || std::cmp_greater(size, behind.size())) return fail();
    const std::size_t whole = rest_.size() - behind.size() + static_cast<std::size_t>(size);
    model::RecordReader reader(rest_.first(whole), 1);
    const auto record = reader.next();
    if (!record.ok() || !record->has_value()) return fail();
    const RawRecord raw{.bytes = rest_.first(whole), .view = **record};
    const bool in_order = raw.view.offset_delta > latest_ && raw.view.offset_delta <= delta_max_;
    if (!in_order) return fail();
    latest_ = raw.view.offset_delta;
    rest_ = rest_.subspan(whole);
    --left_;
    return raw;
  }
  bool failed() const { return failed_; }

 private:
  std::optional<RawRecord> fail() {
    failed_ = true;
    return std::nullopt;
  }
  ByteView rest_;
  std::int32_t left_;
  const std::int32_t delta_max_;
  std::int32_t latest_ = -1;
  bool failed_ = false;
};

bool aborted(const BatchView& batch, const CompactionLimits& limits) {
  if (!batch.transactional() || batch.control()) return false;
  return std::ranges::any_of(limits.aborted, [&](const AbortedRange& range) {
    return range.producer == batch.producer_id() && range.first <= batch.base_offset() &&
           batch.last_offset() <= range.last;
  });
}

void put_varint(std::vector<std::uint8_t>& out, std::int64_t value) {
  std::uint8_t buffer[common::kVarintBytesMax];
  const std::size_t size = common::write_varint(buffer, common::zigzag(value));
  out.insert(out.end(), buffer, buffer + size);
}

// The record, which was read before, with its time as a difference to another base. Its other
// fields are not touched.
void put_rebased(std::vector<std::uint8_t>& out, ByteView record, std::int64_t delta) {
  ByteView rest = record;
  const auto length = common::read_varint(rest);
  CHECK(length.has_value());
  const std::uint8_t attributes = rest.front();
  rest = rest.subspan(1);
  const auto old_delta = common::read_varint(rest);
  CHECK(old_delta.has_value());
  const std::size_t size = 1 + common::varint_size(common::zigzag(delta)) + rest.size();
  put_varint(out, static_cast<std::int64_t>(size));
  out.push_back(attributes);
  put_varint(out, delta);
  out.insert(out.end(), rest.begin(), rest.end());
}

// As 64-bit numbers subtract on the wire, whatever times a client thinks of.
std::int64_t difference(Timestamp a, Timestamp b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a.value()) -
                                   static_cast<std::uint64_t>(b.value()));
}

// From when on a tombstone may go that was seen first now. A very long retention is for ever.
Timestamp horizon(Timestamp now, std::int64_t retention_ms) {
  return retention_ms > INT64_MAX - now.value() ? Timestamp{INT64_MAX} : now + retention_ms;
}

}  // namespace

bool KeyCollector::add(const BatchView& batch) {
  const auto seen = [&] {
    end_ = std::max(end_, batch.next_offset());
    return true;
  };
  if (batch.next_offset() <= from_ || batch.control() || aborted(batch, limits_)) return seen();
  if (batch.record_count() > kRecordsMax) return seen();
  const auto plain = model::plain_records(batch, model::kRecordsBytesMax);
  if (!plain.ok()) return seen();
  keyed_.clear();
  RawRecords walk(batch, plain->records);
  while (const auto record = walk.next()) {
    const Offset offset = record->view.offset(batch);
    if (record->view.key && offset >= from_) keyed_.push_back({*record->view.key, offset});
  }
  if (walk.failed()) return seen();
  for (const Keyed& keyed : keyed_) {
    if (map_.put(keyed.key, keyed.offset)) continue;
    end_ = std::max(end_, keyed.offset);
    return false;
  }
  return seen();
}

Bytes emptied_batch(model::BatchHeader header) {
  header.attributes =
      static_cast<std::uint16_t>(header.attributes & ~(kCompressionBits | kDeleteHorizonBit));
  header.base_timestamp = Timestamp{-1};
  header.max_timestamp = Timestamp{-1};
  header.record_count = 0;
  Bytes bytes = Bytes::allocate(model::kBatchHeaderBytes);
  model::seal_batch(bytes.mutable_view(), header);
  return bytes;
}

Filtered BatchFilter::without_records(const BatchView& batch) const {
  const bool needed = batch.producer_id() != model::kNoProducerId &&
                      std::ranges::binary_search(rules_.limits.last_batches, batch.last_offset());
  if (!needed) return {.fate = Fate::kGone, .bytes = {}};
  if (batch.record_count() == 0) return {.fate = Fate::kAsIs, .bytes = {}};
  return {.fate = Fate::kEmptied, .bytes = emptied_batch(model::header_of(batch))};
}

Filtered BatchFilter::apply(const BatchView& batch) {
  records_seen_ += static_cast<std::uint64_t>(batch.record_count());
  if (batch.control() || batch.base_offset() >= rules_.map_end) return {};
  if (batch.record_count() == 0) return without_records(batch);
  if (aborted(batch, rules_.limits)) {
    records_removed_ += static_cast<std::uint64_t>(batch.record_count());
    return without_records(batch);
  }
  if (batch.record_count() > kRecordsMax) return {};
  const auto plain = model::plain_records(batch, model::kRecordsBytesMax);
  if (!plain.ok()) return {};
  const bool tombstones_go = batch.has_delete_horizon() && rules_.now >= batch.base_timestamp();
  bool tombstone_kept = false;
  kept_.clear();
  RawRecords walk(batch, plain->records);
  while (const auto record = walk.next()) {
    const model::RecordView& view = record->view;
    const Offset offset = view.offset(batch);
    if (offset < rules_.map_end) {
      if (!view.key || (!view.value && tombstones_go)) continue;
      const auto latest = rules_.latest.find(*view.key);
      if (latest && offset < *latest) continue;
    }
    tombstone_kept = tombstone_kept || (view.key && !view.value);
    kept_.push_back({.bytes = record->bytes, .timestamp = view.timestamp(batch)});
  }
  if (walk.failed()) return {};
  records_removed_ += static_cast<std::uint64_t>(batch.record_count()) - kept_.size();
  if (kept_.empty()) return without_records(batch);
  const bool set_horizon = tombstone_kept && !batch.has_delete_horizon();
  if (!set_horizon && std::cmp_equal(kept_.size(), batch.record_count())) return {};
  return rewrite(batch, set_horizon);
}

Filtered BatchFilter::rewrite(const BatchView& batch, bool set_horizon) const {
  model::BatchHeader header = model::header_of(batch);
  header.record_count = static_cast<std::int32_t>(kept_.size());
  const bool stamped = batch.timestamp_type() == model::TimestampType::kLogAppendTime;
  if (set_horizon) {
    header.attributes |= kDeleteHorizonBit;
    header.base_timestamp = horizon(rules_.now, rules_.delete_retention_ms);
  }
  std::size_t size = 0;
  for (const Kept& kept : kept_)
    size += kept.bytes.size() + (set_horizon ? 2 * common::kVarintBytesMax : 0);
  std::vector<std::uint8_t> records;
  records.reserve(size);
  Timestamp newest = kept_.front().timestamp;
  for (const Kept& kept : kept_) {
    newest = std::max(newest, kept.timestamp);
    if (set_horizon) {
      put_rebased(records, kept.bytes, difference(kept.timestamp, header.base_timestamp));
    } else {
      records.insert(records.end(), kept.bytes.begin(), kept.bytes.end());
    }
  }
  if (!stamped) header.max_timestamp = newest;
  Bytes packed;
  ByteView payload(records);
  if (batch.compression() != model::Compression::kNone) {
    packed = model::compress(batch.compression(), payload);
    payload = packed;
  }
  Bytes bytes = Bytes::allocate(model::kBatchHeaderBytes + payload.size());
  std::copy(payload.begin(), payload.end(), bytes.mutable_data() + model::kBatchHeaderBytes);
  model::seal_batch(bytes.mutable_view(), header);
  return {.fate = Fate::kRewritten, .bytes = std::move(bytes)};
}

}  // namespace millrace::storage
