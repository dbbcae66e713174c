// The few Kafka messages that the load needs, in versions that brokers from 2.4 to 4.3 all speak
// and that have no tagged fields: Produce 8, Fetch 11, ListOffsets 2, Metadata 5, CreateTopics 4,
// DeleteTopics 3, InitProducerId 1,
// CreatePartitions 1.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"

namespace millrace::bench {

using Buffer = std::vector<std::uint8_t>;

struct Api {
  std::int16_t key;
  std::int16_t version;
};
inline constexpr Api kProduceApi{0, 8};
inline constexpr Api kFetchApi{1, 11};
inline constexpr Api kListOffsetsApi{2, 2};
inline constexpr Api kMetadataApi{3, 5};
inline constexpr Api kCreateTopicsApi{19, 4};
inline constexpr Api kDeleteTopicsApi{20, 3};
inline constexpr Api kInitProducerIdApi{22, 1};
inline constexpr Api kCreatePartitionsApi{37, 1};

/// Size, API key, version and correlation id: the front of a request, which differs from one use of
/// a body to the next.
inline constexpr std::size_t kHeadBytes = 12;

/// Appends big-endian fields to a buffer.
class Writer {
 public:
  explicit Writer(Buffer& out) : out_(out) {}
  void i8(std::int8_t value) { out_.push_back(static_cast<std::uint8_t>(value)); }
  void i16(std::int16_t value);
  void i32(std::int32_t value);
  void i64(std::int64_t value);
  void varint(std::int64_t value);  // zigzag
  void text(std::string_view value);
  void raw(common::ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

 private:
  Buffer& out_;
};

/// Reads big-endian fields. Ends the program where a response ends early: its values could not be
/// trusted.
class Reader {
 public:
  explicit Reader(common::ByteView bytes) : rest_(bytes) {}
  std::int8_t i8() { return static_cast<std::int8_t>(take(1)[0]); }
  std::int16_t i16();
  std::int32_t i32();
  std::int64_t i64();
  std::string text();  // null reads as empty
  std::vector<std::int32_t> i32s();
  common::ByteView take(std::size_t size);

 private:
  common::ByteView rest_;
};

/// Who writes a batch, for idempotent producers; all -1 otherwise.
struct Producer {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
  std::int32_t sequence = -1;
};

/// What a batch holds: `records` values of `record_bytes` random printable bytes, without keys or
/// headers.
struct BatchShape {
  int records;
  int record_bytes;
};

/// Appends one record batch of format 2, checksum included.
void append_batch(Buffer& out, const BatchShape& shape, const Producer& producer);
/// Writes the producer into a batch that append_batch() made and renews its checksum.
void set_producer(common::MutableByteView batch, const Producer& producer);

/// Where the batches of a produce body lie, in the order of its partitions.
struct ProduceBody {
  Buffer bytes;  // all after the head
  struct Slot {
    int partition;
    std::size_t position;
    std::size_t size;
  };
  std::vector<Slot> batches;
};

struct ProduceTarget {
  std::string topic;
  int acks;
  std::span<const int> partitions;
};

ProduceBody produce_body(const ProduceTarget& target, const BatchShape& shape);

/// A fetch of one partition, without a fetch session.
struct FetchTarget {
  std::string topic;
  int partition;
  int bytes_max;
};
struct FetchBody {
  Buffer bytes;
  std::size_t offset_position;  // where the fetch offset lies
};
FetchBody fetch_body(const FetchTarget& target);

/// Client id and, for API versions without tagged fields, all there is between head and body.
void append_client_id(Buffer& out);

}  // namespace millrace::bench
