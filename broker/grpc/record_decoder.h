// RecordDecoder decoder("orders", unpacked);   decoder.add(PartitionIndex{2}, place, piece);
// while (!decoder.empty()) { response.Clear(); TRY(decoder.take(1 << 20, response));
// send(response);
// }
//
// Stored batches as records of the native API, in portions: what a batch unpacks to may be a
// thousand times its size, and a response must fit what clients accept.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "broker/model/batch.h"
#include "broker/model/compression.h"
#include "broker/model/record.h"
#include "millrace/v1/subscriber.pb.h"

namespace millrace::grpc {

/// A batch may not unpack to more than this, which is what the broker accepts from producers.
inline constexpr std::size_t kPlainBytesMax = 256 << 20;
/// A larger record does not fit into one message, however few go with it.
inline constexpr std::size_t kRecordBytesMax = 63 << 20;

/// Unpacked records that all readers of one broker hold at once. Thread-safe.
class UnpackedBytes {
 public:
  explicit UnpackedBytes(std::size_t bytes_max = 2 * kPlainBytesMax) : bytes_max_(bytes_max) {}
  /// Whether `bytes` more fit; then they count until they are released.
  bool take(std::size_t bytes);
  void release(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::size_t bytes_max_;
  std::atomic<std::size_t> used_{0};
};

/// The records of fetched pieces, in the order in which they were added. Not thread-safe.
class RecordDecoder {
 public:
  RecordDecoder(std::string topic, UnpackedBytes& unpacked)
      : topic_(std::move(topic)), unpacked_(unpacked) {}
  RecordDecoder(const RecordDecoder&) = delete;
  RecordDecoder& operator=(const RecordDecoder&) = delete;
  ~RecordDecoder() { close_batch(); }

  /// Queues whole batches of one partition. Records below `place` are left out; it moves on with
  /// every record taken, and outlives this.
  void add(model::PartitionIndex partition, model::Offset& place, common::Bytes piece);
  /// Forgets what is left of a partition; its place stays after the last record taken.
  void drop(model::PartitionIndex partition);
  bool empty() const { return pieces_.empty(); }

  /// How much to take at once.
  struct Portion {
    std::size_t bytes_max = 0;
    std::int64_t records_max = INT64_MAX;
  };
  using Records = ::google::protobuf::RepeatedPtrField<v1::Record>;
  /// Moves records into `out` until their size as messages would pass bytes_max (one comes at
  /// least), there are records_max of them, or nothing is left; control records are left out. Cost:
  /// unpacks one batch more than it returns, at most. kCorruptMessage, kInvalidRecord: stored data
  /// cannot be read; kMessageTooLarge: a record that no response can carry; kMemoryExhausted:
  /// readers hold too much unpacked. Records in front of the fault come first, the error with the
  /// next call.
  common::Result<void> take(Portion portion, Records& out);
  common::Result<void> take(std::size_t bytes_max, v1::ReadResponse& response) {
    return take({.bytes_max = bytes_max}, *response.mutable_records());
  }

 private:
  struct Piece {
    model::PartitionIndex partition;
    model::Offset* place;
    common::Bytes bytes;
    std::size_t at;
  };

  common::Result<void> advance();
  common::Result<void> open_batch();
  void close_batch();

  const std::string topic_;
  UnpackedBytes& unpacked_;
  std::deque<Piece> pieces_;
  std::optional<model::BatchView> batch_;  // of the first piece
  model::PlainRecords plain_;
  std::optional<model::RecordReader> reader_;
  std::optional<model::RecordView> record_;  // the next one to be taken
};

}  // namespace millrace::grpc
