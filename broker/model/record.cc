#include "broker/model/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "broker/model/compression.h"
#include "common/varint.h"

namespace millrace::model {
namespace {

using common::ByteView;

Error invalid(std::string detail) {
  return Error{ErrorCode::kInvalidRecord, std::move(detail)};
}

/// A zigzag varint that must fit 32 bits.
std::optional<std::int32_t> read_int(ByteView& bytes) {
  const auto raw = common::read_varint(bytes);
  if (!raw) return std::nullopt;
  const std::int64_t value = common::unzigzag(*raw);
  if (value < INT32_MIN || value > INT32_MAX) return std::nullopt;
  return static_cast<std::int32_t>(value);
}

/// A length and that many bytes. -1 is null.
struct Field {
  bool ok = false;
  std::optional<ByteView> bytes;
};
Field read_field(ByteView& bytes) {
  const auto length = read_int(bytes);
  if (!length || *length < -1) return {};
  if (*length == -1) return {.ok = true, .bytes = std::nullopt};
  const auto size = static_cast<std::size_t>(*length);
  if (size > bytes.size()) return {};
  const Field field{.ok = true, .bytes = bytes.first(size)};
  bytes = bytes.subspan(size);
  return field;
}

std::optional<HeaderView> read_header(ByteView& bytes) {
  const Field key = read_field(bytes);
  if (!key.ok || !key.bytes) return std::nullopt;
  const Field value = read_field(bytes);
  if (!value.ok) return std::nullopt;
  return HeaderView{.key = common::as_text(*key.bytes), .value = value.bytes};
}

/// Reads the fields of one record out of exactly its own bytes.
std::optional<RecordView> read_record(ByteView bytes) {
  if (bytes.empty()) return std::nullopt;
  bytes = bytes.subspan(1);  // attributes: no bit has a meaning yet
  RecordView record;
  const auto timestamp = common::read_varint(bytes);
  if (!timestamp) return std::nullopt;
  record.timestamp_delta = common::unzigzag(*timestamp);
  const auto offset = read_int(bytes);
  if (!offset) return std::nullopt;
  record.offset_delta = *offset;
  const Field key = read_field(bytes);
  const Field value = key.ok ? read_field(bytes) : Field{};
  if (!value.ok) return std::nullopt;
  record.key = key.bytes;
  record.value = value.bytes;
  const auto headers = read_int(bytes);
  if (!headers || *headers < 0) return std::nullopt;
  record.headers = HeaderReader(bytes, *headers);
  // Every header takes two bytes at least, so a lying count ends this loop early.
  for (std::int32_t i = 0; i < *headers; ++i) {
    if (!read_header(bytes)) return std::nullopt;
  }
  if (!bytes.empty()) return std::nullopt;
  return record;
}

std::size_t int_size(std::int64_t value) {
  return common::varint_size(common::zigzag(value));
}

std::size_t field_size(const std::optional<ByteView>& field) {
  if (!field) return int_size(-1);
  return int_size(static_cast<std::int64_t>(field->size())) + field->size();
}

/// These write to `out`, where there is room, and answer what is behind it.
std::uint8_t* put_varint(std::uint8_t* out, std::int64_t value) {
  return out + common::write_varint(out, common::zigzag(value));
}
std::uint8_t* put_field(std::uint8_t* out, const std::optional<ByteView>& field) {
  out = put_varint(out, field ? static_cast<std::int64_t>(field->size()) : -1);
  return field ? std::copy(field->begin(), field->end(), out) : out;
}

/// The sum as 64-bit numbers add on the wire: a hostile delta may overflow and must not be
/// undefined behaviour.
common::Timestamp add_wrapping(common::Timestamp base, std::int64_t delta) {
  return common::Timestamp{static_cast<std::int64_t>(static_cast<std::uint64_t>(base.value()) +
                                                     static_cast<std::uint64_t>(delta))};
}
/// The delta that add_wrapping() undoes, whatever times a client thinks of.
std::int64_t subtract_wrapping(common::Timestamp time, common::Timestamp base) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(time.value()) -
                                   static_cast<std::uint64_t>(base.value()));
}

}  // namespace

common::Timestamp RecordView::timestamp(const BatchView& batch) const {
  return batch.timestamp_type() == TimestampType::kLogAppendTime
             ? batch.max_timestamp()
             : add_wrapping(batch.base_timestamp(), timestamp_delta);
}

std::optional<HeaderView> HeaderReader::next() {
  if (count_ <= 0) return std::nullopt;
  --count_;
  auto header = read_header(bytes_);
  if (!header) count_ = 0;
  return header;
}

Result<std::optional<RecordView>> RecordReader::next() {
  if (remaining_ <= 0) {
    if (!bytes_.empty())
      return invalid(fmt::format("{} bytes follow the last record of a batch", bytes_.size()));
    return std::optional<RecordView>{};
  }
  const auto length = read_int(bytes_);
  if (!length || *length < 0 || static_cast<std::size_t>(*length) > bytes_.size()) {
    return invalid(fmt::format("a record is longer than its batch; {} records were still to come",
                               remaining_));
  }
  const auto size = static_cast<std::size_t>(*length);
  const auto record = read_record(bytes_.first(size));
  if (!record) return invalid(fmt::format("a record of {} bytes is malformed", size));
  bytes_ = bytes_.subspan(size);
  --remaining_;
  return std::optional<RecordView>{*record};
}

Result<RecordSurvey> survey_records(const BatchView& batch, common::ByteView records) {
  RecordSurvey survey;
  RecordReader reader(records, batch.record_count());
  for (std::int32_t index = 0;; ++index) {
    TRY_ASSIGN(const std::optional<RecordView> record, reader.next());
    if (!record) break;
    if (record->offset_delta != index) {
      return invalid(
          fmt::format("record {} of a batch has offset delta {}", index, record->offset_delta));
    }
    const common::Timestamp timestamp = record->timestamp(batch);
    if (index == 0 || timestamp < survey.timestamp_min) survey.timestamp_min = timestamp;
    if (index == 0 || timestamp > survey.timestamp_max) {
      survey.timestamp_max = timestamp;
      survey.timestamp_max_offset_delta = index;
    }
    if (!record->key && survey.keyless.size() < kKeylessListed) survey.keyless.push_back(index);
  }
  return survey;
}

void BatchBuilder::append(const NewRecord& record) {
  CHECK(count_ < INT32_MAX);
  if (count_ == 0) {
    timestamp_first_ = record.timestamp;
    timestamp_max_ = record.timestamp;
  }
  timestamp_max_ = std::max(timestamp_max_, record.timestamp);
  const std::int64_t timestamp_delta = subtract_wrapping(record.timestamp, timestamp_first_);
  std::size_t size = 1 + int_size(timestamp_delta) + int_size(count_) + field_size(record.key) +
                     field_size(record.value) +
                     int_size(static_cast<std::int64_t>(record.headers.size()));
  for (const HeaderView& header : record.headers) {
    size += field_size(common::as_bytes(header.key)) + field_size(header.value);
  }
  const std::size_t start = records_.size();
  const std::size_t end = start + int_size(static_cast<std::int64_t>(size)) + size;
  records_.resize(end);
  std::uint8_t* out = put_varint(records_.data() + start, static_cast<std::int64_t>(size));
  *out++ = 0;  // attributes
  out = put_varint(out, timestamp_delta);
  out = put_varint(out, count_);
  out = put_field(out, record.key);
  out = put_field(out, record.value);
  out = put_varint(out, static_cast<std::int64_t>(record.headers.size()));
  for (const HeaderView& header : record.headers) {
    out = put_field(out, common::as_bytes(header.key));
    out = put_field(out, header.value);
  }
  CHECK(out == records_.data() + end, "a record was announced with {} bytes", size);
  ++count_;
}

common::Bytes BatchBuilder::build() {
  CHECK(count_ > 0, "a batch needs a record");
  common::Bytes packed;
  ByteView payload(records_);
  if (options_.compression != Compression::kNone) {
    packed = compress(options_.compression, payload, options_.compression_level);
    payload = packed;
  }
  common::Bytes batch = common::Bytes::allocate(kBatchHeaderBytes + payload.size());
  std::memcpy(batch.mutable_data() + kBatchHeaderBytes, payload.data(), payload.size());
  seal_batch(batch.mutable_view(), BatchHeader{.base_offset = options_.base_offset,
                                               .leader_epoch = options_.leader_epoch,
                                               .attributes = batch_attributes(
                                                   options_.compression, options_.timestamp_type,
                                                   options_.transactional, options_.control),
                                               .last_offset_delta = count_ - 1,
                                               .base_timestamp = timestamp_first_,
                                               .max_timestamp = timestamp_max_,
                                               .producer_id = options_.producer_id,
                                               .producer_epoch = options_.producer_epoch,
                                               .base_sequence = options_.base_sequence,
                                               .record_count = count_});
  return batch;
}

}  // namespace millrace::model
