// What the frames and waiting answers of one shard's connections take, and whether that is too
// much.
#pragma once

#include <cstddef>
#include <utility>

#include "common/check.h"
#include "common/function.h"

namespace millrace::kafka {

/// A count with a soft limit: whoever is about to read more looks at short_of() first, so the limit
/// may be passed by what one read of each connection brings, and no more. Loop thread only.
class Memory {
 public:
  explicit Memory(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void add(std::size_t bytes) { used_ += bytes; }
  void release(std::size_t bytes) {
    CHECK(bytes <= used_, "{} of {} bytes released", bytes, used_);
    const bool was_short = short_of();
    used_ -= bytes;
    released_ += bytes;
    if (was_short && !short_of() && on_room_) on_room_();
  }
  bool short_of() const { return used_ >= bytes_max_; }
  std::size_t used() const { return used_; }
  std::size_t left() const { return used_ < bytes_max_ ? bytes_max_ - used_ : 0; }
  /// All that was ever released: stands still while nothing moves.
  std::size_t released() const { return released_; }
  /// Called, inside release(), whenever the count falls below the limit.
  void on_room(common::Function<void()> callback) { on_room_ = std::move(callback); }

 private:
  std::size_t bytes_max_;
  std::size_t used_ = 0;
  std::size_t released_ = 0;
  common::Function<void()> on_room_;
};

}  // namespace millrace::kafka
