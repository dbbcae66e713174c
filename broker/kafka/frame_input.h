// const auto space = input.space(scratch);
// const std::size_t count = read(space);
// TRY(input.take(count, [&](Bytes frame) { ...; return true; }));
//
// Cuts what arrives on one connection into frames: a 32-bit length, then that many bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/bytes.h"
#include "common/result.h"

namespace millrace::kafka {

/// Holds memory only while a frame is half there. Small frames come out of a scratch buffer that
/// all connections of a shard share, each copied to memory of its own size; the bytes of a large
/// one are read straight to where they stay. Memory for a frame follows the bytes that really
/// arrived, so that a length which is a lie costs nothing.
class FrameInput {
 public:
  /// A connection whose last frame had at least this size is expected to send another such one.
  static constexpr std::size_t kDirectBytesMin = std::size_t{16} << 10;

  explicit FrameInput(std::size_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  /// Where the next bytes go: in `scratch`, or behind those that are held. Never empty. take() must
  /// follow.
  common::MutableByteView space(common::MutableByteView scratch);

  /// Takes the first `count` bytes of the last space() and hands each whole frame (without its
  /// length) to `sink(Bytes) -> bool`. When the sink returns false the rest is kept, to go on with
  /// resume(). kInvalidRequest: a length that is negative or above the maximum; the connection is
  /// of no more use.
  template <typename Sink>
  common::Result<void> take(std::size_t count, Sink sink) {
    const common::ByteView fresh = accept(count);
    return cut(fresh, sink);
  }
  /// Goes on with what a sink left over.
  template <typename Sink>
  common::Result<void> resume(Sink sink) {
    scratch_ = {};
    return cut(common::ByteView(buffer_.data(), filled_), sink);
  }

  /// Memory held now.
  std::size_t held_bytes() const { return buffer_.size(); }
  /// Whether bytes of an unfinished frame, or frames left over by a sink, are held.
  bool holds_data() const { return filled_ > 0; }
  /// Length of the frame that is on its way; 0 when not known.
  std::size_t announced_bytes() const;

 private:
  template <typename Sink>
  common::Result<void> cut(common::ByteView bytes, Sink& sink) {
    std::size_t at = 0;
    bool more = true;
    while (more && bytes.size() - at >= 4) {
      TRY_ASSIGN(const std::size_t length, checked_length(bytes.subspan(at)));
      if (bytes.size() - at - 4 < length) break;
      more = sink(frame_at(bytes, at + 4, length));
      at += 4 + length;
    }
    keep(bytes.subspan(at), at > 0);
    return {};
  }
  common::ByteView accept(std::size_t count);
  common::Result<std::size_t> checked_length(common::ByteView bytes) const;
  common::Bytes frame_at(common::ByteView bytes, std::size_t position, std::size_t length);
  void keep(common::ByteView rest, bool moved);
  void grow();

  std::size_t frame_bytes_max_;
  common::Bytes buffer_;        // empty unless bytes are held, or a direct read is under way
  std::size_t filled_ = 0;      // bytes of buffer_ that have arrived
  common::ByteView scratch_;    // set between space() and take() when the scratch buffer is in use
  std::size_t last_frame_ = 0;  // bytes of the last frame with its length
};

}  // namespace millrace::kafka
