#include "broker/model/batch_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "broker/model/compression.h"
#include "broker/model/record.h"

namespace millrace::model {
namespace {

using common::Bytes;
using common::Timestamp;

constexpr Timestamp kNoTimestamp{-1};
/// Record errors a response carries at most; the rest is counted.
constexpr std::size_t kRecordErrorsMax = 100;
constexpr std::size_t kRecordErrorsQuoted = 3;

Error invalid(std::string detail) {
  return Error{ErrorCode::kInvalidRecord, std::move(detail)};
}

BatchVerdict refuse(Error error, std::vector<RecordError> records = {}) {
  return BatchVerdict{
      .accepted = std::nullopt,
      .refused = BatchRefusal{.error = std::move(error), .records = std::move(records)}};
}

/// The bounds that a producer's timestamps must keep.
struct TimeWindow {
  std::int64_t low;
  std::int64_t high;
  bool holds(Timestamp time) const {
    return time == kNoTimestamp || (time.value() >= low && time.value() <= high);
  }
};

TimeWindow time_window(const BatchRules& rules) {
  const std::int64_t now = rules.now.value();
  const std::int64_t before = rules.settings.timestamp_before_ms_max;
  const std::int64_t after = rules.settings.timestamp_after_ms_max;
  return TimeWindow{.low = before > now ? INT64_MIN : now - before,
                    .high = after > INT64_MAX - now ? INT64_MAX : now + after};
}

/// Exactly one whole batch of format v2.
Result<BatchView> only_batch(common::ByteView records) {
  if (records.empty())
    return invalid("Produce requests must have at least one record batch per partition");
  auto batch = BatchView::parse(records);
  if (!batch.ok()) {
    if (batch.error().code != ErrorCode::kUnsupportedForMessageFormat) return batch;
    return invalid(
        "Produce requests are only allowed to contain record batches with magic version 2");
  }
  if (batch->size() != records.size()) {
    return invalid(
        "Produce requests are only allowed to contain exactly one record batch per partition");
  }
  return batch;
}

Result<void> check_size(std::size_t size, const BatchRules& rules) {
  if (std::cmp_greater(size, rules.settings.max_message_bytes)) {
    return Error{ErrorCode::kMessageTooLarge,
                 fmt::format("The record batch size in the append to {} is {} bytes which exceeds "
                             "the maximum configured "
                             "value of {}.",
                             rules.partition, size, rules.settings.max_message_bytes)};
  }
  if (std::cmp_greater(size, rules.settings.segment_bytes)) {
    return Error{
        ErrorCode::kRecordListTooLarge,
        fmt::format(
            "Message batch size is {} bytes in append to partition {}, which exceeds the maximum "
            "configured segment size of {}.",
            size, rules.partition, rules.settings.segment_bytes)};
  }
  return common::ok();
}

Result<void> check_counts(const BatchView& batch, const BatchRules& rules) {
  const std::int64_t span = std::int64_t{batch.last_offset_delta()} + 1;
  if (batch.record_count() <= 0) {
    return invalid(fmt::format("Invalid reported count for record batch: {} in topic partition {}",
                               batch.record_count(), rules.partition));
  }
  if (span != batch.record_count()) {
    return invalid(fmt::format(
        "Inconsistent batch offset range [{}, {}] and count of records {} in topic partition {}",
        batch.base_offset(), batch.last_offset(), batch.record_count(), rules.partition));
  }
  return common::ok();
}

Result<void> check_producer(const BatchView& batch, const BatchRules& rules) {
  if (batch.control()) {
    return invalid(fmt::format(
        "Clients are not allowed to write control records in topic partition {}", rules.partition));
  }
  if (batch.transactional() && !rules.transactions) {
    return Error{ErrorCode::kInvalidTxnState,
                 fmt::format("Transactions are not open on topic partition {}", rules.partition)};
  }
  if (batch.producer_id().value() < 0) return common::ok();
  if (batch.base_sequence() < 0) {
    return invalid(fmt::format(
        "Invalid sequence number {} in record batch with producerId {} in topic partition {}",
        batch.base_sequence(), batch.producer_id(), rules.partition));
  }
  if (batch.producer_epoch() < 0) {
    return invalid(
        fmt::format("Invalid epoch {} in record batch with producerId {} in topic partition {}",
                    batch.producer_epoch(), batch.producer_id(), rules.partition));
  }
  return common::ok();
}

/// All that the header alone can tell.
Result<void> check_header(const BatchView& batch, const BatchRules& rules) {
  if (batch.base_offset() != Offset{0}) {
    return invalid(fmt::format(
        "The baseOffset of the record batch in the append to {} should be 0, but it is {}",
        rules.partition, batch.base_offset()));
  }
  TRY(check_size(batch.size(), rules));
  if (!batch.crc_matches()) {
    return Error{ErrorCode::kCorruptMessage,
                 fmt::format("Record is corrupt: the checksum of the batch for {} is not its {}",
                             rules.partition, batch.crc())};
  }
  TRY(check_counts(batch, rules));
  TRY(check_producer(batch, rules));
  if (batch.timestamp_type() == TimestampType::kLogAppendTime) {
    return Error{ErrorCode::kInvalidTimestamp,
                 "Invalid timestamp type in message. Producer should not set timestamp type to "
                 "LogAppendTime."};
  }
  if (batch.has_delete_horizon()) {
    return invalid(fmt::format(
        "Clients are not allowed to set a delete horizon in topic partition {}", rules.partition));
  }
  return common::ok();
}

/// Why a batch is refused for the sake of single records, with those records.
BatchVerdict refuse_records(ErrorCode code, std::string summary, std::vector<RecordError> records) {
  if (code == ErrorCode::kInvalidRecord) {
    std::vector<std::string> quoted;
    for (std::size_t i = 0; i < std::min(kRecordErrorsQuoted, records.size()); ++i)
      quoted.push_back(records[i].message);
    summary = fmt::format(
        "One or more records have been rejected due to {} record errors in total, and only showing "
        "the "
        "first three errors at most: [{}]",
        records.size(), fmt::join(quoted, ", "));
  }
  return refuse(Error{code, std::move(summary)}, std::move(records));
}

/// The records whose time is outside the window; only walked once one is known or suspected to be.
Result<std::vector<RecordError>> untimely_records(const BatchView& batch, common::ByteView records,
                                                  TimeWindow window) {
  std::vector<RecordError> errors;
  RecordReader reader(records, batch.record_count());
  for (std::int32_t index = 0;; ++index) {
    TRY_ASSIGN(const std::optional<RecordView> record, reader.next());
    if (!record) return errors;
    const Timestamp time = record->timestamp(batch);
    if (window.holds(time) || errors.size() == kRecordErrorsMax) continue;
    errors.push_back(
        {.index = index,
         .message = fmt::format(
             "Timestamp {} of message with offset {} is out of range. The timestamp should "
             "be within [{}, {}]",
             time, index, window.low, window.high)});
  }
}

/// What must be looked at inside, and why.
struct DeepLook {
  bool time = false;
  bool keys = false;
  bool recompress = false;
  bool any() const { return time || keys || recompress; }
};

DeepLook needed_look(const BatchView& batch, const BatchRules& rules) {
  const TopicSettings& settings = rules.settings;
  DeepLook look;
  if (settings.timestamp_type == TimestampType::kCreateTime) {
    // The header gives the highest timestamp; the lowest is known only to the records.
    look.time = settings.timestamp_before_ms_max != INT64_MAX ||
                !time_window(rules).holds(batch.max_timestamp());
  }
  look.keys = settings.compact;
  look.recompress = settings.compression && *settings.compression != batch.compression();
  return look;
}

/// The rules about single records. nullopt: they keep them.
std::optional<BatchVerdict> check_records(const BatchView& batch, common::ByteView records,
                                          const BatchRules& rules, DeepLook look) {
  const auto survey = survey_records(batch, records);
  if (!survey.ok()) return refuse(survey.error());
  if (look.time) {
    const TimeWindow window = time_window(rules);
    auto late = untimely_records(batch, records, window);
    if (!late.ok()) return refuse(late.error());
    // The header alone may be out of the window: then it lies, and readers would go by it.
    if (!late->empty() || !window.holds(batch.max_timestamp())) {
      return refuse_records(ErrorCode::kInvalidTimestamp,
                            "One or more records have been rejected due to invalid timestamp",
                            *std::move(late));
    }
  }
  if (look.keys && !survey->keyless.empty()) {
    std::vector<RecordError> errors;
    for (const std::int32_t index : survey->keyless) {
      errors.push_back(
          {.index = index,
           .message = fmt::format(
               "Compacted topic cannot accept message without key in topic partition {}",
               rules.partition)});
    }
    return refuse_records(ErrorCode::kInvalidRecord, {}, std::move(errors));
  }
  return std::nullopt;
}

std::optional<int> level_for(Compression compression, const TopicSettings& settings) {
  switch (compression) {
    case Compression::kGzip:
      return settings.gzip_level;
    case Compression::kLz4:
      return settings.lz4_level;
    case Compression::kZstd:
      return settings.zstd_level;
    case Compression::kNone:
    case Compression::kSnappy:
      break;
  }
  return std::nullopt;
}

/// The same records under the topic's own codec.
Bytes pack_anew(const BatchView& batch, common::ByteView records, const TopicSettings& settings) {
  const Compression target = *settings.compression;
  const Bytes packed = compress(target, records, level_for(target, settings));
  Bytes result = Bytes::allocate(kBatchHeaderBytes + packed.size());
  std::copy(packed.view().begin(), packed.view().end(), result.mutable_data() + kBatchHeaderBytes);
  BatchHeader header = header_of(batch);
  header.attributes =
      static_cast<std::uint16_t>((header.attributes & ~7U) | static_cast<unsigned>(target));
  seal_batch(result.mutable_view(), header);
  return result;
}

}  // namespace

BatchVerdict accept_batch(common::Bytes records, const BatchRules& rules) {
  const auto batch = only_batch(records);
  if (!batch.ok()) return refuse(batch.error());
  if (auto checked = check_header(*batch, rules); !checked.ok())
    return refuse(std::move(checked).error());
  const DeepLook look = needed_look(*batch, rules);
  Bytes bytes = records;
  if (look.any()) {
    const auto plain = plain_records(*batch, kRecordsBytesMax);
    if (!plain.ok()) return refuse(plain.error());
    if (auto verdict = check_records(*batch, plain->records, rules, look))
      return *std::move(verdict);
    if (look.recompress) {
      bytes = pack_anew(*batch, plain->records, rules.settings);
      if (auto checked = check_size(bytes.size(), rules); !checked.ok())
        return refuse(std::move(checked).error());
    }
  }
  AcceptedBatch accepted{.bytes = std::move(bytes), .append_time = std::nullopt};
  if (rules.settings.timestamp_type == TimestampType::kLogAppendTime) {
    set_append_time(accepted.bytes.mutable_view(), rules.now);
    accepted.append_time = rules.now;
  }
  return BatchVerdict{.accepted = std::move(accepted), .refused = std::nullopt};
}

}  // namespace millrace::model
