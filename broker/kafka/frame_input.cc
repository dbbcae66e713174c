#include "broker/kafka/frame_input.h"

#include <algorithm>

#include "broker/model/errors.h"
#include "common/check.h"
#include "common/endian.h"

namespace millrace::kafka {

using common::Bytes;
using common::ByteView;
using common::MutableByteView;
using common::Result;

namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kHeldBytesMin = 64;

std::int32_t announced(ByteView bytes) {
  return common::load_big<std::int32_t>(bytes.data());
}

}  // namespace

MutableByteView FrameInput::space(MutableByteView scratch) {
  scratch_ = {};
  if (filled_ == 0 && last_frame_ < kDirectBytesMin) {
    CHECK(!scratch.empty(), "no scratch memory");
    buffer_ = Bytes();
    scratch_ = scratch;
    return scratch;
  }
  if (filled_ == 0) buffer_ = Bytes::allocate(last_frame_);
  if (filled_ == buffer_.size()) grow();
  return buffer_.mutable_view().subspan(filled_);
}

ByteView FrameInput::accept(std::size_t count) {
  if (!scratch_.empty()) {
    CHECK(count <= scratch_.size(), "{} bytes in {}", count, scratch_.size());
    return scratch_.first(count);
  }
  CHECK(count <= buffer_.size() - filled_, "{} bytes behind {} of {}", count, filled_,
        buffer_.size());
  filled_ += count;
  return {buffer_.data(), filled_};
}

Result<std::size_t> FrameInput::checked_length(ByteView bytes) const {
  const std::int32_t length = announced(bytes);
  if (length < 0 || static_cast<std::size_t>(length) > frame_bytes_max_) {
    return {model::ErrorCode::kInvalidRequest,
            fmt::format("a frame of {} bytes is announced, at most {} are taken", length,
                        frame_bytes_max_)};
  }
  return static_cast<std::size_t>(length);
}

Bytes FrameInput::frame_at(ByteView bytes, std::size_t position, std::size_t length) {
  last_frame_ = length + kLengthBytes;
  // Sharing the read buffer saves the copy, but keeps all of it alive: done when most of it is this
  // frame.
  if (scratch_.empty() && length * 2 >= buffer_.size()) return buffer_.slice(position, length);
  return Bytes::copy_of(bytes.subspan(position, length));
}

std::size_t FrameInput::announced_bytes() const {
  return filled_ >= kLengthBytes ? static_cast<std::size_t>(announced(buffer_)) : 0;
}

// Leaves `rest` in buffer_. `moved`: frames were cut off in front of it.
void FrameInput::keep(ByteView rest, bool moved) {
  if (rest.empty()) {
    buffer_ = Bytes();
    filled_ = 0;
    scratch_ = {};
    return;
  }
  if (scratch_.empty() && !moved) return;
  std::size_t room = std::max(kHeldBytesMin, rest.size() * 2);
  if (rest.size() >= kLengthBytes) {
    const std::size_t whole = kLengthBytes + static_cast<std::size_t>(std::max(announced(rest), 0));
    room = std::max(rest.size(), std::min(whole, std::max(room, last_frame_)));
  }
  Bytes next = Bytes::allocate(room);
  std::memcpy(next.mutable_data(), rest.data(), rest.size());
  buffer_ = std::move(next);
  filled_ = rest.size();
  scratch_ = {};
}

void FrameInput::grow() {
  std::size_t room = std::max(kHeldBytesMin, buffer_.size() * 2);
  if (filled_ >= kLengthBytes) {
    const std::size_t whole = kLengthBytes + announced_bytes();
    // What a sink left over may hold whole frames and more.
    if (whole > filled_) room = std::min(room, whole);
  }
  Bytes next = Bytes::allocate(room);
  std::memcpy(next.mutable_data(), buffer_.data(), filled_);
  buffer_ = std::move(next);
}

}  // namespace millrace::kafka
