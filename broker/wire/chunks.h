// Chunks answer = writer.take();
// for (std::size_t i = 0; i < answer.count(); ++i) socket.send(answer[i]);
//
// A byte string in pieces that share memory with whoever made them: the records of a partition, an
// encoded message.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "common/bytes.h"
#include "common/check.h"

namespace millrace::wire {

/// A sequence of windows read as one byte string. Copying shares the memory. One piece costs no
/// allocation.
class Chunks {
 public:
  Chunks() = default;
  Chunks(common::Bytes piece) { add(std::move(piece)); }  // NOLINT: one piece is the common case

  /// Appends a piece; an empty one is dropped.
  void add(common::Bytes piece) {
    if (piece.empty()) return;
    size_ += piece.size();
    if (first_.empty()) {
      first_ = std::move(piece);
    } else {
      rest_.push_back(std::move(piece));
    }
  }
  void add(Chunks more) {
    for (std::size_t i = 0; i < more.count(); ++i) add(more[i]);
  }

  /// Bytes of all pieces.
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Number of pieces; none of them is empty.
  std::size_t count() const { return first_.empty() ? 0 : 1 + rest_.size(); }
  const common::Bytes& operator[](std::size_t i) const {
    CHECK(i < count());
    return i == 0 ? first_ : rest_[i - 1];
  }
  /// The whole as one window. Free for up to one piece, which every decoded field is; else the
  /// bytes are copied.
  common::Bytes joined() const;

  /// Equal contents, however they are cut.
  friend bool operator==(const Chunks& a, const Chunks& b);

 private:
  common::Bytes first_;
  std::vector<common::Bytes> rest_;
  std::size_t size_ = 0;
};

}  // namespace millrace::wire
