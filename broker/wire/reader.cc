#include "broker/wire/reader.h"

#include <bit>
#include <cstring>

#include "broker/model/errors.h"

namespace millrace::wire {
namespace {

constexpr std::int32_t kStringBytesMax =
    32767;  // both forms: Kafka refuses longer ones in the compact form too

}  // namespace

common::Error Reader::error() const {
  CHECK(!good());
  return {model::ErrorCode::kInvalidRequest, fmt::format("{}: {}", field_, reason_)};
}

void Reader::fail(const char* field, const char* reason) {
  at_ = end_;
  if (field_ != nullptr) return;
  field_ = field;
  reason_ = reason;
}

double Reader::f64(const char* field) {
  return std::bit_cast<double>(fixed<std::int64_t>(field));
}

common::Uuid Reader::uuid(const char* field) {
  common::Uuid value;
  if (remaining() < value.bytes.size()) {
    fail(field, "the message ends inside of it");
    return value;
  }
  std::memcpy(value.bytes.data(), at_, value.bytes.size());
  at_ += value.bytes.size();
  return value;
}

std::uint32_t Reader::varuint(const char* field) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    if (at_ == end_) {
      fail(field, "the message ends inside of it");
      return 0;
    }
    const std::uint8_t byte = *at_++;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) != 0) continue;
    if (value > 0xffffffffU) break;
    return static_cast<std::uint32_t>(value);
  }
  fail(field, "a varint of more than 32 bits");
  return 0;
}

std::int32_t Reader::length(bool compact, bool is_string, bool nullable, const char* field) {
  std::int64_t size = 0;
  if (compact) {
    size = std::int64_t{varuint(field)} - 1;
  } else {
    size = is_string ? std::int64_t{i16(field)} : std::int64_t{i32(field)};
  }
  if (!good()) return -1;
  if (size < 0) {
    if (size < -1) fail(field, "a negative length");
    if (!nullable) fail(field, "null where a value is required");
    return -1;
  }
  if (is_string && size > kStringBytesMax) {
    fail(field, "a string of more than 32767 bytes");
    return -1;
  }
  if (static_cast<std::uint64_t>(size) > remaining()) {
    fail(field, "longer than the rest of the message");
    return -1;
  }
  return static_cast<std::int32_t>(size);
}

void Reader::string(std::string& out, bool compact, const char* field) {
  const std::int32_t size = length(compact, true, false, field);
  if (size < 0) return;
  const auto bytes = static_cast<std::size_t>(size);
  if (bytes > allowance_) return fail(field, "the message takes too much memory");
  allowance_ -= bytes;
  out.assign(reinterpret_cast<const char*>(at_), bytes);
  at_ += size;
}

void Reader::string(std::optional<std::string>& out, bool compact, bool nullable,
                    const char* field) {
  const std::int32_t size = length(compact, true, nullable, field);
  if (size < 0) {
    out.reset();
    return;
  }
  const auto bytes = static_cast<std::size_t>(size);
  if (bytes > allowance_) return fail(field, "the message takes too much memory");
  allowance_ -= bytes;
  out.emplace(reinterpret_cast<const char*>(at_), bytes);
  at_ += size;
}

common::Bytes Reader::window(std::int32_t size) {
  const auto position = static_cast<std::size_t>(at_ - frame_.data());
  at_ += size;
  return frame_.slice(position, static_cast<std::size_t>(size));
}

void Reader::bytes(common::Bytes& out, bool compact, const char* field) {
  const std::int32_t size = length(compact, false, false, field);
  if (size >= 0) out = window(size);
}

void Reader::bytes(std::optional<common::Bytes>& out, bool compact, bool nullable,
                   const char* field) {
  const std::int32_t size = length(compact, false, nullable, field);
  out.reset();
  if (size >= 0) out = window(size);
}

void Reader::bytes(Chunks& out, bool compact, const char* field) {
  const std::int32_t size = length(compact, false, false, field);
  if (size >= 0) out = Chunks(window(size));
}

void Reader::bytes(std::optional<Chunks>& out, bool compact, bool nullable, const char* field) {
  const std::int32_t size = length(compact, false, nullable, field);
  out.reset();
  if (size >= 0) out.emplace(window(size));
}

std::int32_t Reader::array(Element element, bool compact, bool nullable, const char* field) {
  const std::int64_t count = compact ? std::int64_t{varuint(field)} - 1 : std::int64_t{i32(field)};
  if (!good()) return 0;
  if (count < 0) {
    if (count == -1 && nullable) return -1;
    fail(field, count == -1 ? "null where an array is required" : "a negative length");
    return 0;
  }
  const auto elements = static_cast<std::uint64_t>(count);
  if (elements > remaining() / element.wire_bytes_min) {
    fail(field, "more elements than the rest of the message could hold");
    return 0;
  }
  if (elements > allowance_ / element.memory_bytes) {
    fail(field, "the message takes too much memory");
    return 0;
  }
  allowance_ -= elements * element.memory_bytes;
  return static_cast<std::int32_t>(count);
}

Reader::Window Reader::enter(std::uint32_t size, const char* field) {
  const Window window{end_};
  if (size > remaining()) {
    fail(field, "a tagged field longer than the rest of the message");
  } else {
    end_ = at_ + size;
  }
  return window;
}

void Reader::leave(Window window, const char* field) {
  if (at_ != end_) fail(field, "a tagged field longer than its content");
  end_ = window.outer_end;
  if (!good()) at_ = end_;
}

void Reader::skip(std::uint32_t size, const char* field) {
  if (size > remaining()) return fail(field, "a tagged field longer than the rest of the message");
  at_ += size;
}

void Reader::skip_tags(const char* field) {
  for (std::uint32_t count = varuint(field); count > 0 && good(); --count) {
    varuint(field);
    skip(varuint(field), field);
  }
}

}  // namespace millrace::wire
