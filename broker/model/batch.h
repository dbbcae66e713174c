// TRY_ASSIGN(const BatchView batch, BatchView::parse(records));
//
// A record batch of Kafka's message format v2, as it is on the wire and in a segment, seen without
// copying. Layout (big endian): https://kafka.apache.org/documentation/#recordbatch
#pragma once

#include <cstdint>

#include "broker/model/errors.h"
#include "broker/model/ids.h"
#include "common/bytes.h"
#include "common/clock.h"

namespace millrace::model {

enum class Compression : std::uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };
enum class TimestampType : std::uint8_t { kCreateTime = 0, kLogAppendTime = 1 };

/// Byte positions inside a batch.
inline constexpr std::size_t kBatchHeaderBytes = 61;
/// Bytes in front of what batch_length counts: base offset and the length itself.
inline constexpr std::size_t kBatchPrefixBytes = 12;
/// The checksum covers the batch from here (attributes) on.
inline constexpr std::size_t kBatchCrcStart = 21;

/// One whole batch. The view is valid while its bytes are. Accessors read the header in place.
class BatchView {
 public:
  /// The first batch of `bytes`; what follows it is ignored (size() tells where it ends).
  /// Checks form only: the length fits, magic is 2, counts agree, compression is known. The CRC is
  /// checked apart. kCorruptMessage: too short or inconsistent. kUnsupportedForMessageFormat: an
  /// older magic.
  static Result<BatchView> parse(common::ByteView bytes);
  /// Bytes of the batch at the front of `bytes` by its length field, without other checks. 0: not
  /// even a length is there.
  static std::size_t announced_size(common::ByteView bytes);

  Offset base_offset() const;
  Offset last_offset() const { return base_offset() + last_offset_delta(); }
  /// The offset after the last one.
  Offset next_offset() const { return last_offset() + 1; }
  Term leader_epoch() const;
  std::uint32_t crc() const;
  /// Cost: one pass over the batch.
  bool crc_matches() const;
  std::uint16_t attributes() const;
  Compression compression() const { return static_cast<Compression>(attributes() & 7); }
  TimestampType timestamp_type() const {
    return static_cast<TimestampType>((attributes() >> 3) & 1);
  }
  bool transactional() const { return (attributes() & 0x10) != 0; }
  bool control() const { return (attributes() & 0x20) != 0; }
  bool has_delete_horizon() const { return (attributes() & 0x40) != 0; }
  std::int32_t last_offset_delta() const;
  common::Timestamp base_timestamp() const;
  common::Timestamp max_timestamp() const;
  ProducerId producer_id() const;
  std::int16_t producer_epoch() const;
  std::int32_t base_sequence() const;
  /// Sequence of the last record; wraps from 2^31-1 to 0.
  std::int32_t last_sequence() const;
  std::int32_t record_count() const;
  /// The records behind the header, compressed if compression() says so.
  common::ByteView payload() const { return bytes_.subspan(kBatchHeaderBytes); }
  common::ByteView bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }

 private:
  explicit BatchView(common::ByteView bytes) : bytes_(bytes) {}
  common::ByteView bytes_;
};

/// A header written from scratch.
struct BatchHeader {
  Offset base_offset{0};
  Term leader_epoch{-1};
  std::uint16_t attributes = 0;
  std::int32_t last_offset_delta = 0;
  common::Timestamp base_timestamp{0};
  common::Timestamp max_timestamp{0};
  ProducerId producer_id = kNoProducerId;
  std::int16_t producer_epoch = -1;
  std::int32_t base_sequence = -1;
  std::int32_t record_count = 0;
};
/// Attribute bits: compression, timestamp type, transactional, control.
std::uint16_t batch_attributes(Compression compression, TimestampType timestamp_type,
                               bool transactional, bool control);
/// The header of this batch, for a batch that differs from it.
BatchHeader header_of(const BatchView& batch);
/// Completes a batch whose records already stand behind the space for the header: writes the
/// header, the length and the checksum. Requires kBatchHeaderBytes <= batch.size() < 2 GiB.
void seal_batch(common::MutableByteView batch, const BatchHeader& header);

/// Writes the two fields that the log sets and the checksum does not cover.
void set_position(common::MutableByteView batch, Offset base_offset, Term leader_epoch);

/// Turns the batch into one with append time: sets timestamp type and max timestamp, then the
/// checksum anew. The records' own deltas stay; readers take max_timestamp for every record
/// (KIP-32).
void set_append_time(common::MutableByteView batch, common::Timestamp now);

/// base + distance with wrap-around at 2^31, as sequence numbers count.
std::int32_t advance_sequence(std::int32_t base, std::int32_t distance);

}  // namespace millrace::model
