// RecordReader reader(records, batch.record_count());
// for (;;) {
//   TRY_ASSIGN(const std::optional<RecordView> record, reader.next());
//   if (!record) break;
//   ...
// }
//
// The records inside a batch, seen without copying, and a builder of batches.
// Layout: https://kafka.apache.org/documentation/#record
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "broker/model/batch.h"

namespace millrace::model {

/// One header of a record. The key is never null, the value may be.
struct HeaderView {
  std::string_view key;
  std::optional<common::ByteView> value;
};

/// The headers of one record, already checked for form; iterate with next().
class HeaderReader {
 public:
  HeaderReader() = default;
  HeaderReader(common::ByteView bytes, std::int32_t count) : bytes_(bytes), count_(count) {}
  std::int32_t remaining() const { return count_; }
  /// The next header; nullopt after the last.
  std::optional<HeaderView> next();

 private:
  common::ByteView bytes_;
  std::int32_t count_ = 0;
};

/// One record. Views point into the uncompressed records they were read from. A null value is a
/// tombstone.
struct RecordView {
  /// Difference to the batch's base timestamp, in milliseconds.
  std::int64_t timestamp_delta = 0;
  /// Difference to the batch's base offset.
  std::int32_t offset_delta = 0;
  std::optional<common::ByteView> key;
  std::optional<common::ByteView> value;
  HeaderReader headers;

  Offset offset(const BatchView& batch) const { return batch.base_offset() + offset_delta; }
  /// The record's time as consumers see it: the batch's append time where the topic asks for that
  /// (KIP-32).
  common::Timestamp timestamp(const BatchView& batch) const;
};

/// Walks records that are not (or no longer) compressed. Safe on any bytes.
class RecordReader {
 public:
  RecordReader(common::ByteView records, std::int32_t count) : bytes_(records), remaining_(count) {}
  /// The next record; nullopt after `count` of them. kInvalidRecord: malformed, or bytes follow the
  /// last one.
  Result<std::optional<RecordView>> next();

 private:
  common::ByteView bytes_;
  std::int32_t remaining_;
};

/// What a walk over every record of a batch found.
struct RecordSurvey {
  common::Timestamp timestamp_min{0};
  common::Timestamp timestamp_max{0};
  /// Deltas of the first record with the highest timestamp, for ListOffsets by max timestamp.
  std::int32_t timestamp_max_offset_delta = 0;
  /// Records without a key, at most kKeylessListed of them by number.
  std::vector<std::int32_t> keyless;
};
inline constexpr std::size_t kKeylessListed = 100;

/// Checks every record: well formed, as many as the header says, offset deltas 0, 1, 2 …, nothing
/// behind them. `records` are the batch's records, uncompressed. Cost: one pass. kInvalidRecord
/// with the place of the fault.
Result<RecordSurvey> survey_records(const BatchView& batch, common::ByteView records);

/// What a new batch says about itself.
struct BatchOptions {
  Compression compression = Compression::kNone;
  /// nullopt: the codec's usual level.
  std::optional<int> compression_level;
  TimestampType timestamp_type = TimestampType::kCreateTime;
  Offset base_offset{0};
  Term leader_epoch{-1};
  ProducerId producer_id = kNoProducerId;
  std::int16_t producer_epoch = -1;
  std::int32_t base_sequence = -1;
  bool transactional = false;
  bool control = false;
};

/// A record to be written. Nothing is copied until append().
struct NewRecord {
  common::Timestamp timestamp{0};
  std::optional<common::ByteView> key;
  std::optional<common::ByteView> value;
  std::span<const HeaderView> headers;
};

/// Collects records and lays them out as one batch. Use once: append() any number of times, then
/// build().
class BatchBuilder {
 public:
  explicit BatchBuilder(BatchOptions options = {}) : options_(options) {}
  void append(const NewRecord& record);
  std::int32_t count() const { return count_; }
  /// Bytes of the records so far, before compression.
  std::size_t records_bytes() const { return records_.size(); }
  /// The finished batch with its checksum. Requires count() > 0 and less than 2 GiB of records.
  common::Bytes build();

 private:
  BatchOptions options_;
  std::vector<std::uint8_t> records_;
  std::int32_t count_ = 0;
  common::Timestamp timestamp_first_{0};
  common::Timestamp timestamp_max_{0};
};

}  // namespace millrace::model
