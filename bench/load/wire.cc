#include "bench/load/wire.h"

#include "bench/load/basics.h"
#include "common/crc32c.h"
#include "common/endian.h"
#include "common/random.h"
#include "common/varint.h"

namespace millrace::bench {
namespace {

constexpr std::string_view kClientId = "millrace-load";
constexpr std::int32_t kRequestTimeoutMs = 30'000;
constexpr std::int32_t kFetchWaitMs = 500;

// Positions in a record batch of format 2.
constexpr std::size_t kLengthPosition = 8;
constexpr std::size_t kCrcPosition = 17;
constexpr std::size_t kCrcFrom = 21;
constexpr std::size_t kProducerPosition = 43;

template <typename T>
void append_big(Buffer& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof(T));
  common::store_big<T>(out.data() + at, value);
}

void seal(common::MutableByteView batch) {
  common::store_big<std::uint32_t>(batch.data() + kCrcPosition,
                                   common::crc32c(batch.subspan(kCrcFrom)));
}

Buffer random_value(std::size_t size) {
  static common::Random random(20240229);
  Buffer value(size);
  for (auto& byte : value) byte = static_cast<std::uint8_t>('!' + random.below(94));
  return value;
}

}  // namespace

void Writer::i16(std::int16_t value) {
  append_big(out_, value);
}
void Writer::i32(std::int32_t value) {
  append_big(out_, value);
}
void Writer::i64(std::int64_t value) {
  append_big(out_, value);
}
void Writer::varint(std::int64_t value) {
  std::uint8_t bytes[common::kVarintBytesMax];
  raw({bytes, common::write_varint(bytes, common::zigzag(value))});
}
void Writer::text(std::string_view value) {
  i16(static_cast<std::int16_t>(value.size()));
  raw(common::as_bytes(value));
}

common::ByteView Reader::take(std::size_t size) {
  if (size > rest_.size())
    fail("a response ended early: {} bytes wanted, {} there", size, rest_.size());
  const auto front = rest_.first(size);
  rest_ = rest_.subspan(size);
  return front;
}
std::int16_t Reader::i16() {
  return common::load_big<std::int16_t>(take(2).data());
}
std::int32_t Reader::i32() {
  return common::load_big<std::int32_t>(take(4).data());
}
std::int64_t Reader::i64() {
  return common::load_big<std::int64_t>(take(8).data());
}
std::string Reader::text() {
  const std::int16_t size = i16();
  return size < 0 ? std::string()
                  : std::string(common::as_text(take(static_cast<std::size_t>(size))));
}
std::vector<std::int32_t> Reader::i32s() {
  std::vector<std::int32_t> values;
  for (std::int32_t count = i32(); count > 0; --count) values.push_back(i32());
  return values;
}

void append_batch(Buffer& out, const BatchShape& shape, const Producer& producer) {
  const std::size_t start = out.size();
  const std::int64_t timestamp = wall_ms();
  Writer writer(out);
  writer.i64(0);   // base offset: the broker's to set
  writer.i32(0);   // length, below
  writer.i32(-1);  // partition leader epoch
  writer.i8(2);    // format
  writer.i32(0);   // checksum, below
  writer.i16(0);   // attributes: not compressed, create time
  writer.i32(shape.records - 1);
  writer.i64(timestamp);
  writer.i64(timestamp);
  writer.i64(producer.id);
  writer.i16(producer.epoch);
  writer.i32(producer.sequence);
  writer.i32(shape.records);
  for (int i = 0; i < shape.records; ++i) {
    Buffer record;
    Writer fields(record);
    fields.i8(0);
    fields.varint(0);   // timestamp delta
    fields.varint(i);   // offset delta
    fields.varint(-1);  // no key
    fields.varint(shape.record_bytes);
    fields.raw(random_value(static_cast<std::size_t>(shape.record_bytes)));
    fields.varint(0);  // no headers
    writer.varint(static_cast<std::int64_t>(record.size()));
    writer.raw(record);
  }
  const common::MutableByteView batch{out.data() + start, out.size() - start};
  common::store_big<std::int32_t>(batch.data() + kLengthPosition,
                                  static_cast<std::int32_t>(batch.size() - kLengthPosition - 4));
  seal(batch);
}

void set_producer(common::MutableByteView batch, const Producer& producer) {
  std::uint8_t* at = batch.data() + kProducerPosition;
  common::store_big<std::int64_t>(at, producer.id);
  common::store_big<std::int16_t>(at + 8, producer.epoch);
  common::store_big<std::int32_t>(at + 10, producer.sequence);
  seal(batch);
}

void append_client_id(Buffer& out) {
  Writer(out).text(kClientId);
}

ProduceBody produce_body(const ProduceTarget& target, const BatchShape& shape) {
  ProduceBody body;
  append_client_id(body.bytes);
  Writer writer(body.bytes);
  writer.i16(-1);  // no transaction
  writer.i16(static_cast<std::int16_t>(target.acks));
  writer.i32(kRequestTimeoutMs);
  writer.i32(1);
  writer.text(target.topic);
  writer.i32(static_cast<std::int32_t>(target.partitions.size()));
  for (const int partition : target.partitions) {
    writer.i32(partition);
    const std::size_t size_position = body.bytes.size();
    writer.i32(0);
    const std::size_t position = body.bytes.size();
    append_batch(body.bytes, shape, Producer{});
    const std::size_t size = body.bytes.size() - position;
    common::store_big<std::int32_t>(body.bytes.data() + size_position,
                                    static_cast<std::int32_t>(size));
    body.batches.push_back({partition, position, size});
  }
  return body;
}

FetchBody fetch_body(const FetchTarget& target) {
  FetchBody body;
  append_client_id(body.bytes);
  Writer writer(body.bytes);
  writer.i32(-1);  // a consumer
  writer.i32(kFetchWaitMs);
  writer.i32(1);  // bytes at least
  writer.i32(target.bytes_max);
  writer.i8(0);    // read uncommitted
  writer.i32(0);   // no session ...
  writer.i32(-1);  // ... and none wanted
  writer.i32(1);
  writer.text(target.topic);
  writer.i32(1);
  writer.i32(target.partition);
  writer.i32(-1);  // leader epoch unknown
  body.offset_position = body.bytes.size();
  writer.i64(0);
  writer.i64(-1);  // log start: for followers
  writer.i32(target.bytes_max);
  writer.i32(0);    // nothing to forget
  writer.text("");  // no rack
  return body;
}

}  // namespace millrace::bench
