#include "broker/wire/chunks.h"

#include <cstring>

namespace millrace::wire {

common::Bytes Chunks::joined() const {
  if (count() <= 1) return first_;
  common::Bytes whole = common::Bytes::allocate(size_);
  std::size_t at = 0;
  for (std::size_t i = 0; i < count(); ++i) {
    const common::Bytes& piece = (*this)[i];
    std::memcpy(whole.mutable_data() + at, piece.data(), piece.size());
    at += piece.size();
  }
  CHECK(at == size_);
  return whole;
}

bool operator==(const Chunks& a, const Chunks& b) {
  if (a.size_ != b.size_) return false;
  const common::Bytes left = a.joined();
  const common::Bytes right = b.joined();
  return left.empty() || std::memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace millrace::wire
