// Writer out;
// const Writer::Mark length = out.reserve_i32();
// answer.encode(out, version);
// out.fill_i32(length, static_cast<std::int32_t>(out.size() - 4));
// send(out.take());
//
// Writes the values of a Kafka message. Large byte fields are not copied: what comes out is a chain
// of pieces for one gathered write. Counter takes the same calls and only counts.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "broker/wire/chunks.h"
#include "common/bytes.h"
#include "common/endian.h"
#include "common/uuid.h"
#include "common/varint.h"

namespace millrace::wire {

/// The value forms, over a sink that has raw(data, size), shared(bytes) and integer(T). `compact`:
/// the form of flexible versions. A null in a version that has none is written as the empty value.
template <typename Sink>
class Forms {
 public:
  void i8(std::int8_t value) { sink().integer(value); }
  void i16(std::int16_t value) { sink().integer(value); }
  void u16(std::uint16_t value) { sink().integer(value); }
  void i32(std::int32_t value) { sink().integer(value); }
  void u32(std::uint32_t value) { sink().integer(value); }
  void i64(std::int64_t value) { sink().integer(value); }
  void f64(double value) { sink().integer(std::bit_cast<std::int64_t>(value)); }
  void boolean(bool value) { sink().integer(static_cast<std::int8_t>(value ? 1 : 0)); }
  void uuid(const common::Uuid& value) { sink().raw(value.bytes.data(), value.bytes.size()); }
  void varuint(std::uint32_t value) {
    std::uint8_t digits[common::kVarintBytesMax];
    sink().raw(digits, common::write_varint(digits, value));
  }

  /// Requires value.size() <= 32767.
  void string(std::string_view value, bool compact) {
    CHECK(value.size() <= 32767, "a string of {} bytes", value.size());
    if (compact) {
      varuint(static_cast<std::uint32_t>(value.size()) + 1);
    } else {
      i16(static_cast<std::int16_t>(value.size()));
    }
    sink().raw(value.data(), value.size());
  }
  void string(const std::optional<std::string>& value, bool compact, bool nullable) {
    if (value.has_value() || !nullable)
      return string(value.has_value() ? std::string_view(*value) : "", compact);
    if (compact) return varuint(0);
    i16(-1);
  }
  void bytes(const common::Bytes& value, bool compact) {
    length(value.size(), compact);
    sink().shared(value);
  }
  void bytes(const Chunks& value, bool compact) {
    length(value.size(), compact);
    for (std::size_t i = 0; i < value.count(); ++i) sink().shared(value[i]);
  }
  template <typename Value>
  void bytes(const std::optional<Value>& value, bool compact, bool nullable) {
    if (value.has_value()) return bytes(*value, compact);
    if (nullable) return null_length(compact);
    length(0, compact);
  }
  /// The number of an array's elements, or of bytes.
  void length(std::size_t count, bool compact) {
    CHECK(count < 0x7fffffff, "a length of {}", count);
    if (compact) {
      varuint(static_cast<std::uint32_t>(count) + 1);
    } else {
      i32(static_cast<std::int32_t>(count));
    }
  }
  void null_length(bool compact) {
    if (compact) return varuint(0);
    i32(-1);
  }
  /// One tagged field: `body(sink)` writes its value, and is called twice, first to learn the size.
  template <typename Body>
  void tagged(std::uint32_t tag, Body body);

 private:
  Sink& sink() { return static_cast<Sink&>(*this); }
};

/// Counts the bytes that a Writer would produce.
class Counter : public Forms<Counter> {
 public:
  std::size_t size() const { return size_; }
  void raw(const void*, std::size_t size) { size_ += size; }
  void shared(const common::Bytes& bytes) { size_ += bytes.size(); }
  template <std::integral T>
  void integer(T) {
    size_ += sizeof(T);
  }

 private:
  std::size_t size_ = 0;
};

/// Collects a message in blocks of growing size that never move, and in the shared pieces between
/// them. Not thread-safe.
class Writer : public Forms<Writer> {
 public:
  /// Byte fields of at most this many bytes are copied: an element of a gathered write costs more.
  static constexpr std::size_t kCopiedBytesMax = 512;
  static constexpr std::size_t kBlockBytesMin = 256;
  static constexpr std::size_t kBlockBytesMax = std::size_t{64} << 10;

  /// Bytes written so far.
  std::size_t size() const { return done_.size() + static_cast<std::size_t>(at_ - piece_); }
  /// All that was written, as pieces; the writer is empty afterwards and its marks are void.
  Chunks take();

  /// A place whose four bytes are written later, for a length that is not yet known.
  struct Mark {
    std::uint8_t* at;
  };
  Mark reserve_i32();
  void fill_i32(Mark mark, std::int32_t value) { common::store_big(mark.at, value); }

  void raw(const void* data, std::size_t size);
  void shared(const common::Bytes& bytes);
  template <std::integral T>
  void integer(T value) {
    if (static_cast<std::size_t>(end_ - at_) < sizeof(T)) [[unlikely]]
      grow(sizeof(T));
    common::store_big(at_, value);
    at_ += sizeof(T);
  }

 private:
  void seal();                  // moves what the open piece holds to done_
  void grow(std::size_t size);  // makes room for `size` contiguous bytes

  Chunks done_;
  common::Bytes block_;
  std::uint8_t* piece_ = nullptr;  // start of the open piece, inside block_
  std::uint8_t* at_ = nullptr;
  std::uint8_t* end_ = nullptr;
};

template <typename Sink>
template <typename Body>
void Forms<Sink>::tagged(std::uint32_t tag, Body body) {
  Counter counter;
  body(counter);
  varuint(tag);
  varuint(static_cast<std::uint32_t>(counter.size()));
  body(sink());
}

}  // namespace millrace::wire
