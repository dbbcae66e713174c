// Bytes buffer = pool.take();   // aligned, its content is whatever the last user left
//
// Large aligned buffers that are used again and again: fresh pages cost more than anything else
// here.
#pragma once

#include <cstdint>
#include <vector>

#include "common/bytes.h"

namespace millrace::storage {

using common::Bytes;

/// Keeps a window on every buffer it gave out; a buffer is free once that is its only window,
/// whoever held the others. Shard thread only (the windows of others may be let go anywhere).
class BufferPool {
 public:
  explicit BufferPool(std::size_t buffer_bytes) : buffer_bytes_(buffer_bytes) {}

  std::size_t buffer_bytes() const { return buffer_bytes_; }
  /// A buffer of buffer_bytes() that nobody else uses.
  Bytes take();
  /// One of at least `size` bytes; above buffer_bytes() it is made for this use alone.
  Bytes take(std::size_t size);
  /// Gives free buffers back to the machine until at most `keep` are left free.
  void trim(std::size_t keep);
  std::size_t buffers() const { return buffers_.size(); }

 private:
  const std::size_t buffer_bytes_;
  std::vector<Bytes> buffers_;
  std::size_t next_ = 0;
};

}  // namespace millrace::storage
