// Bytes batch = frame.slice(position, length);   // shares the frame's memory
//
// Byte strings: a view, and a reference-counted block that sockets, disk, cache and peers share
// without copying.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/check.h"

namespace millrace::common {

using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Memory of a direct disk write starts at a multiple of this, and so do its file position and
/// length.
inline constexpr std::size_t kDiskAlignment = 4096;

/// A window on reference-counted memory. Copying shares; the memory is freed with its last window,
/// on whichever thread that happens. The bytes may be written only by the one who allocated them
/// and before (or, for fields that no one else reads, while) they are shared: mutable_data() does
/// not check that.
class Bytes {
 public:
  Bytes() = default;
  /// `size` uninitialised bytes. alignment: a power of two, at least 8.
  static Bytes allocate(std::size_t size, std::size_t alignment = 16);
  static Bytes copy_of(ByteView bytes);
  static Bytes copy_of(std::string_view text) { return copy_of(as_bytes(text)); }
  static Bytes zeros(std::size_t size, std::size_t alignment = 16);

  Bytes(const Bytes& other) noexcept;
  Bytes& operator=(const Bytes& other) noexcept;
  Bytes(Bytes&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Bytes& operator=(Bytes&& other) noexcept;
  ~Bytes() { release(); }

  const std::uint8_t* data() const { return data_; }
  std::uint8_t* mutable_data() { return data_; }
  MutableByteView mutable_view() { return {data_, size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  ByteView view() const { return {data_, size_}; }
  operator ByteView() const { return view(); }  // NOLINT: a view is what readers want
  std::string_view text() const { return as_text(view()); }
  /// Equal contents.
  friend bool operator==(const Bytes& a, const Bytes& b) { return a.text() == b.text(); }
  /// The window [position, position + length) of this one. Requires it to lie inside.
  Bytes slice(std::size_t position, std::size_t length) const;
  /// This window with the `more` bytes of the block that follow it. Requires them to lie inside the
  /// block.
  Bytes extended(std::size_t more) const;
  /// Bytes of the whole underlying block: what keeping this window alive costs.
  std::size_t block_size() const;
  /// True when this is the only window on its block.
  bool unique() const;

 private:
  struct Block {
    std::atomic<std::uint32_t> references;
    std::uint32_t alignment;
    std::size_t size;
  };
  Bytes(Block* block, std::uint8_t* data, std::size_t size)
      : block_(block), data_(data), size_(size) {}
  void release() noexcept;
  static void destroy(Block* block) noexcept;

  Block* block_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Total bytes of all live blocks, in this process. For metrics and memory tests.
std::size_t live_block_bytes();

}  // namespace millrace::common
