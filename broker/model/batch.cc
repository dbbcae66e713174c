#include "broker/model/batch.h"

#include <fmt/format.h>

#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::model {
namespace {

using common::load_big;
using common::store_big;

constexpr std::size_t kLengthAt = 8;
constexpr std::size_t kLeaderEpochAt = 12;
constexpr std::size_t kMagicAt = 16;
constexpr std::size_t kCrcAt = 17;
constexpr std::size_t kAttributesAt = 21;
constexpr std::size_t kLastOffsetDeltaAt = 23;
constexpr std::size_t kBaseTimestampAt = 27;
constexpr std::size_t kMaxTimestampAt = 35;
constexpr std::size_t kProducerIdAt = 43;
constexpr std::size_t kProducerEpochAt = 51;
constexpr std::size_t kBaseSequenceAt = 53;
constexpr std::size_t kRecordCountAt = 57;
static_assert(kRecordCountAt + 4 == kBatchHeaderBytes);
static_assert(kAttributesAt == kBatchCrcStart && kLengthAt + 4 == kBatchPrefixBytes);

constexpr std::uint16_t kTimestampTypeBit = 0x08;
constexpr std::uint8_t kMagic = 2;

Error corrupt(std::string detail) {
  return Error{ErrorCode::kCorruptMessage, std::move(detail)};
}

}  // namespace

std::size_t BatchView::announced_size(common::ByteView bytes) {
  if (bytes.size() < kBatchPrefixBytes) return 0;
  const auto length = load_big<std::int32_t>(bytes.data() + kLengthAt);
  return length < 0 ? 0 : kBatchPrefixBytes + static_cast<std::size_t>(length);
}

Result<BatchView> BatchView::parse(common::ByteView bytes) {
  if (bytes.size() <= kMagicAt) {
    return corrupt(fmt::format("a record batch needs {} bytes, {} are there", kBatchHeaderBytes,
                               bytes.size()));
  }
  const std::uint8_t magic = bytes[kMagicAt];
  if (magic < kMagic) {
    return Error{ErrorCode::kUnsupportedForMessageFormat,
                 fmt::format("message format v{} is not supported, only v2", magic)};
  }
  if (magic != kMagic) return corrupt(fmt::format("unknown message format v{}", magic));
  const std::size_t size = announced_size(bytes);
  if (size < kBatchHeaderBytes || size > bytes.size()) {
    return corrupt(
        fmt::format("batch length {} does not fit: {} bytes are there", size, bytes.size()));
  }
  const BatchView batch(bytes.first(size));
  if ((batch.attributes() & 7) > static_cast<unsigned>(Compression::kZstd)) {
    return corrupt(fmt::format("unknown compression {}", batch.attributes() & 7));
  }
  // Compaction may remove records from a batch and leave its offset range as it was, so fewer is
  // allowed here.
  if (batch.last_offset_delta() < 0 || batch.record_count() < 0 ||
      batch.record_count() > batch.last_offset_delta() + std::int64_t{1}) {
    return corrupt(fmt::format("{} records cannot end at offset delta {}", batch.record_count(),
                               batch.last_offset_delta()));
  }
  return batch;
}

Offset BatchView::base_offset() const {
  return Offset{load_big<std::int64_t>(bytes_.data())};
}
Term BatchView::leader_epoch() const {
  return Term{load_big<std::int32_t>(bytes_.data() + kLeaderEpochAt)};
}
std::uint32_t BatchView::crc() const {
  return load_big<std::uint32_t>(bytes_.data() + kCrcAt);
}
bool BatchView::crc_matches() const {
  return common::crc32c(bytes_.subspan(kBatchCrcStart)) == crc();
}
std::uint16_t BatchView::attributes() const {
  return load_big<std::uint16_t>(bytes_.data() + kAttributesAt);
}
std::int32_t BatchView::last_offset_delta() const {
  return load_big<std::int32_t>(bytes_.data() + kLastOffsetDeltaAt);
}
common::Timestamp BatchView::base_timestamp() const {
  return common::Timestamp{load_big<std::int64_t>(bytes_.data() + kBaseTimestampAt)};
}
common::Timestamp BatchView::max_timestamp() const {
  return common::Timestamp{load_big<std::int64_t>(bytes_.data() + kMaxTimestampAt)};
}
ProducerId BatchView::producer_id() const {
  return ProducerId{load_big<std::int64_t>(bytes_.data() + kProducerIdAt)};
}
std::int16_t BatchView::producer_epoch() const {
  return load_big<std::int16_t>(bytes_.data() + kProducerEpochAt);
}
std::int32_t BatchView::base_sequence() const {
  return load_big<std::int32_t>(bytes_.data() + kBaseSequenceAt);
}
std::int32_t BatchView::last_sequence() const {
  return advance_sequence(base_sequence(), last_offset_delta());
}
std::int32_t BatchView::record_count() const {
  return load_big<std::int32_t>(bytes_.data() + kRecordCountAt);
}

std::uint16_t batch_attributes(Compression compression, TimestampType timestamp_type,
                               bool transactional, bool control) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(compression) |
                                    static_cast<unsigned>(timestamp_type) << 3 |
                                    (transactional ? 0x10U : 0U) | (control ? 0x20U : 0U));
}

BatchHeader header_of(const BatchView& batch) {
  return BatchHeader{.base_offset = batch.base_offset(),
                     .leader_epoch = batch.leader_epoch(),
                     .attributes = batch.attributes(),
                     .last_offset_delta = batch.last_offset_delta(),
                     .base_timestamp = batch.base_timestamp(),
                     .max_timestamp = batch.max_timestamp(),
                     .producer_id = batch.producer_id(),
                     .producer_epoch = batch.producer_epoch(),
                     .base_sequence = batch.base_sequence(),
                     .record_count = batch.record_count()};
}

void seal_batch(common::MutableByteView batch, const BatchHeader& header) {
  CHECK(batch.size() >= kBatchHeaderBytes);
  CHECK(batch.size() <= std::size_t{INT32_MAX});
  std::uint8_t* const at = batch.data();
  store_big(at, header.base_offset.value());
  store_big(at + kLengthAt, static_cast<std::int32_t>(batch.size() - kBatchPrefixBytes));
  store_big(at + kLeaderEpochAt, header.leader_epoch.value());
  at[kMagicAt] = kMagic;
  store_big(at + kAttributesAt, header.attributes);
  store_big(at + kLastOffsetDeltaAt, header.last_offset_delta);
  store_big(at + kBaseTimestampAt, header.base_timestamp.value());
  store_big(at + kMaxTimestampAt, header.max_timestamp.value());
  store_big(at + kProducerIdAt, header.producer_id.value());
  store_big(at + kProducerEpochAt, header.producer_epoch);
  store_big(at + kBaseSequenceAt, header.base_sequence);
  store_big(at + kRecordCountAt, header.record_count);
  store_big(at + kCrcAt, common::crc32c(batch.subspan(kBatchCrcStart)));
}

void set_position(common::MutableByteView batch, Offset base_offset, Term leader_epoch) {
  CHECK(batch.size() >= kBatchHeaderBytes);
  store_big(batch.data(), base_offset.value());
  store_big(batch.data() + kLeaderEpochAt, leader_epoch.value());
}

void set_append_time(common::MutableByteView batch, common::Timestamp now) {
  CHECK(batch.size() >= kBatchHeaderBytes);
  const auto attributes = load_big<std::uint16_t>(batch.data() + kAttributesAt);
  store_big(batch.data() + kAttributesAt,
            static_cast<std::uint16_t>(attributes | kTimestampTypeBit));
  store_big(batch.data() + kMaxTimestampAt, now.value());
  store_big(batch.data() + kCrcAt, common::crc32c(batch.subspan(kBatchCrcStart)));
}

std::int32_t advance_sequence(std::int32_t base, std::int32_t distance) {
  const std::int64_t sum = std::int64_t{base} + distance;
  return static_cast<std::int32_t>(sum & 0x7fffffff);
}

}  // namespace millrace::model
