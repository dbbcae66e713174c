#include "common/bytes.h"

#include <bit>
#include <new>

namespace millrace::common {
namespace {

std::atomic<std::size_t> g_live_block_bytes{0};

// The header sits before the data, in as many bytes as the data's alignment needs.
std::size_t header_bytes(std::size_t alignment, std::size_t header) {
  return (header + alignment - 1) / alignment * alignment;
}

// Every allocation has this much; asking for it by name takes a slower way.
constexpr std::size_t kUsualAlignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

void* take(std::size_t size, std::size_t alignment) {
  if (alignment <= kUsualAlignment) return ::operator new(size);
  return ::operator new (size, std::align_val_t{alignment});
}

void give_back(void* memory, std::size_t alignment) {
  if (alignment <= kUsualAlignment) return ::operator delete(memory);
  ::operator delete (memory, std::align_val_t{alignment});
}

}  // namespace

std::size_t live_block_bytes() {
  return g_live_block_bytes.load(std::memory_order_relaxed);
}

Bytes Bytes::allocate(std::size_t size, std::size_t alignment) {
  CHECK(std::has_single_bit(alignment) && alignment >= alignof(Block));
  const std::size_t header = header_bytes(alignment, sizeof(Block));
  auto* raw = static_cast<std::uint8_t*>(take(header + size, alignment));
  auto* block =
      new (raw + header - sizeof(Block)) Block{1, static_cast<std::uint32_t>(alignment), size};
  g_live_block_bytes.fetch_add(size, std::memory_order_relaxed);
  return Bytes(block, raw + header, size);
}

Bytes Bytes::copy_of(ByteView bytes) {
  Bytes copy = allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data_, bytes.data(), bytes.size());
  return copy;
}

Bytes Bytes::zeros(std::size_t size, std::size_t alignment) {
  Bytes bytes = allocate(size, alignment);
  if (size > 0) std::memset(bytes.data_, 0, size);
  return bytes;
}

Bytes::Bytes(const Bytes& other) noexcept
    : block_(other.block_), data_(other.data_), size_(other.size_) {
  if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
}

Bytes& Bytes::operator=(const Bytes& other) noexcept {
  if (this != &other) *this = Bytes(other);
  return *this;
}

Bytes& Bytes::operator=(Bytes&& other) noexcept {
  if (this != &other) {
    release();
    block_ = std::exchange(other.block_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Bytes Bytes::slice(std::size_t position, std::size_t length) const {
  CHECK(position <= size_ && length <= size_ - position, "slice [{}, +{}) of {}", position, length,
        size_);
  Bytes window(*this);
  window.data_ += position;
  window.size_ = length;
  return window;
}

Bytes Bytes::extended(std::size_t more) const {
  CHECK(block_ != nullptr);
  const std::uint8_t* end = reinterpret_cast<const std::uint8_t*>(block_ + 1) + block_->size;
  CHECK(more <= static_cast<std::size_t>(end - data_) - size_,
        "a window grown by {} past its block", more);
  Bytes window(*this);
  window.size_ += more;
  return window;
}

std::size_t Bytes::block_size() const {
  return block_ == nullptr ? 0 : block_->size;
}

bool Bytes::unique() const {
  return block_ != nullptr && block_->references.load(std::memory_order_acquire) == 1;
}

void Bytes::release() noexcept {
  if (block_ != nullptr && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    destroy(block_);
  block_ = nullptr;
  data_ = nullptr;
  size_ = 0;
}

void Bytes::destroy(Block* block) noexcept {
  const std::size_t alignment = block->alignment;
  g_live_block_bytes.fetch_sub(block->size, std::memory_order_relaxed);
  auto* raw = reinterpret_cast<std::uint8_t*>(block) + sizeof(Block) -
              header_bytes(alignment, sizeof(Block));
  give_back(raw, alignment);
}

}  // namespace millrace::common
