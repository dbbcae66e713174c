// Reader in(frame);
// const std::int32_t id = in.i32("MetadataRequest.topics.partition");
// if (!in.good()) return in.error();
//
// Reads the values of a Kafka message from one frame. Nothing that a peer can send trips a CHECK,
// reads outside of the frame, or makes us allocate more than Limits allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "broker/wire/chunks.h"
#include "common/bytes.h"
#include "common/endian.h"
#include "common/result.h"
#include "common/uuid.h"

namespace millrace::wire {

/// What decoding one message may cost.
struct ReadLimits {
  /// Memory of all array elements and strings. Byte fields cost nothing: they share the frame.
  std::size_t decoded_bytes_max = std::size_t{64} << 20;
};

/// A cursor over a frame. The first failure sticks: from then on every read returns zero or
/// nothing, so that a decoder reads field after field and looks once at the end. `field` names what
/// is read, for the error's text, and must be a literal. `compact`: the form of flexible versions
/// (KIP-482). Not thread-safe.
class Reader {
 public:
  explicit Reader(common::Bytes frame, ReadLimits limits = {})
      : frame_(std::move(frame)),
        at_(frame_.data()),
        end_(frame_.data() + frame_.size()),
        allowance_(limits.decoded_bytes_max) {}

  bool good() const { return field_ == nullptr; }
  /// Why the first failing read failed: kInvalidRequest, naming the field. Requires !good().
  common::Error error() const;
  /// Records a failure, unless there is one already.
  void fail(const char* field, const char* reason);
  /// Bytes not yet read; zero after a failure.
  std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }

  std::int8_t i8(const char* field) { return fixed<std::int8_t>(field); }
  std::int16_t i16(const char* field) { return fixed<std::int16_t>(field); }
  std::uint16_t u16(const char* field) { return fixed<std::uint16_t>(field); }
  std::int32_t i32(const char* field) { return fixed<std::int32_t>(field); }
  std::uint32_t u32(const char* field) { return fixed<std::uint32_t>(field); }
  std::int64_t i64(const char* field) { return fixed<std::int64_t>(field); }
  double f64(const char* field);
  /// Any byte but zero is true, as Kafka reads it.
  bool boolean(const char* field) { return fixed<std::int8_t>(field) != 0; }
  common::Uuid uuid(const char* field);
  /// An unsigned varint of at most 32 bits.
  std::uint32_t varuint(const char* field);

  void string(std::string& out, bool compact, const char* field);
  /// null is refused unless `nullable`.
  void string(std::optional<std::string>& out, bool compact, bool nullable, const char* field);
  /// A window on the frame: keeping it keeps the frame's memory.
  void bytes(common::Bytes& out, bool compact, const char* field);
  void bytes(std::optional<common::Bytes>& out, bool compact, bool nullable, const char* field);
  void bytes(Chunks& out, bool compact, const char* field);
  void bytes(std::optional<Chunks>& out, bool compact, bool nullable, const char* field);

  /// Size of an array's element: on the wire at least, and in memory.
  struct Element {
    std::size_t wire_bytes_min;
    std::size_t memory_bytes;
  };
  /// The number of elements that follow, -1 for null. Zero after refusing a null that is not
  /// `nullable`, more elements than the rest of the frame could hold, or more memory than the
  /// limits allow.
  std::int32_t array(Element element, bool compact, bool nullable, const char* field);

  /// Narrows the frame to the `size` bytes of a tagged field; leave() checks that they were read to
  /// the end.
  struct Window {
    const std::uint8_t* outer_end;
  };
  Window enter(std::uint32_t size, const char* field);
  void leave(Window window, const char* field);
  void skip(std::uint32_t size, const char* field);
  /// Reads and drops all tagged fields of a struct that knows none.
  void skip_tags(const char* field);

 private:
  template <typename T>
  T fixed(const char* field) {
    if (remaining() < sizeof(T)) [[unlikely]] {
      fail(field, "the message ends inside of it");
      return 0;
    }
    const T value = common::load_big<T>(at_);
    at_ += sizeof(T);
    return value;
  }
  // Length of a string (16 bits) or of bytes (32 bits) in either form; -1 for null or after a
  // failure.
  std::int32_t length(bool compact, bool is_string, bool nullable, const char* field);
  common::Bytes window(std::int32_t size);

  common::Bytes frame_;
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::size_t allowance_;
  const char* field_ = nullptr;  // of the first failure
  const char* reason_ = nullptr;
};

}  // namespace millrace::wire
