#include "broker/storage/buffer_pool.h"

namespace millrace::storage {
namespace {

// Buffers come free in about the order they were taken, so the search begins where the last one
// ended; it gives up early because a new buffer is not a disaster.
constexpr std::size_t kProbesMax = 16;

}  // namespace

Bytes BufferPool::take() {
  const std::size_t probes = std::min(kProbesMax, buffers_.size());
  for (std::size_t i = 0; i < probes; ++i) {
    if (next_ >= buffers_.size()) next_ = 0;
    const Bytes& candidate = buffers_[next_++];
    if (candidate.unique()) return candidate;
  }
  Bytes fresh = Bytes::allocate(buffer_bytes_, common::kDiskAlignment);
  buffers_.push_back(fresh);
  return fresh;
}

Bytes BufferPool::take(std::size_t size) {
  if (size <= buffer_bytes_) return take();
  return Bytes::allocate(size, common::kDiskAlignment);
}

void BufferPool::trim(std::size_t keep) {
  std::size_t free = 0;
  std::erase_if(buffers_, [&](const Bytes& buffer) { return buffer.unique() && ++free > keep; });
  next_ = 0;
}

}  // namespace millrace::storage
