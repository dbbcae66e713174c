// void read(Offset from, Reply<Result<Batches>> reply);   ...   reply(std::move(batches));
//
// An answer that comes later.
#pragma once

#include <utility>

#include "common/function.h"

namespace millrace::common {

/// While one lives, this thread may drop replies unanswered: when a loop stops for good, or when a
/// simulated machine loses its power, nobody is left to hear them.
class RepliesMayDrop {
 public:
  RepliesMayDrop() { ++depth_; }
  ~RepliesMayDrop() { --depth_; }
  RepliesMayDrop(const RepliesMayDrop&) = delete;
  RepliesMayDrop& operator=(const RepliesMayDrop&) = delete;
  static bool active() { return depth_ > 0; }

 private:
  static inline thread_local int depth_ = 0;
};

/// Move-only and used exactly once: dropping an unanswered Reply ends the process, because
/// somewhere a client would wait for ever. Called on the thread of whoever gave it, unless that
/// interface says otherwise.
template <typename T>
class Reply {
 public:
  Reply() = default;
  template <typename F>
  requires(!std::is_same_v<std::decay_t<F>, Reply> && std::is_invocable_v<std::decay_t<F>&, T>)
      Reply(F&& callable)
      : function_(std::forward<F>(callable)) {}  // NOLINT: implicit on purpose
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&& other) noexcept {
    CHECK(!function_, "a reply was overwritten before it was used");
    function_ = std::move(other.function_);
    return *this;
  }
  ~Reply() { CHECK(!function_ || RepliesMayDrop::active(), "a reply was dropped unanswered"); }

  void operator()(T answer) {
    auto function = std::move(function_);
    function(std::move(answer));
  }
  explicit operator bool() const { return static_cast<bool>(function_); }

 private:
  Function<void(T)> function_;
};

}  // namespace millrace::common
