#include "broker/wire/writer.h"

#include <algorithm>
#include <cstring>

namespace millrace::wire {

void Writer::seal() {
  if (at_ == piece_) return;
  const auto start = static_cast<std::size_t>(piece_ - block_.data());
  done_.add(block_.slice(start, static_cast<std::size_t>(at_ - piece_)));
  piece_ = at_;
}

void Writer::grow(std::size_t size) {
  seal();
  const std::size_t next = std::clamp(block_.size() * 2, kBlockBytesMin, kBlockBytesMax);
  block_ = common::Bytes::allocate(std::max(next, size));
  piece_ = at_ = block_.mutable_data();
  end_ = at_ + block_.size();
}

void Writer::raw(const void* data, std::size_t size) {
  if (size == 0) return;
  if (static_cast<std::size_t>(end_ - at_) < size) grow(size);
  std::memcpy(at_, data, size);
  at_ += size;
}

void Writer::shared(const common::Bytes& bytes) {
  if (bytes.size() <= kCopiedBytesMax) return raw(bytes.data(), bytes.size());
  seal();
  done_.add(bytes);
}

Writer::Mark Writer::reserve_i32() {
  integer(std::int32_t{0});
  return Mark{at_ - sizeof(std::int32_t)};
}

Chunks Writer::take() {
  seal();
  Chunks all = std::move(done_);
  *this = Writer();
  return all;
}

}  // namespace millrace::wire
