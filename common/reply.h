// void read(Offset from, Reply<Result<Batches>> reply);   ...   reply(std::move(batches));
//
// An answer that comes later.
#pragma once

#include <utility>

#include "common/function.h"

namespace millrace::common {

/// Move-only and used exactly once: dropping an unanswered Reply ends the process, because somewhere a client
/// would wait for ever. Called on the thread of whoever gave it, unless that interface says otherwise.
template <typename T>
class Reply {
 public:
  Reply() = default;
  template <typename F>
    requires(!std::is_same_v<std::decay_t<F>, Reply> && std::is_invocable_v<std::decay_t<F>&, T>)
  Reply(F&& callable) : function_(std::forward<F>(callable)) {}  // NOLINT: implicit on purpose
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&& other) noexcept {
    CHECK(!function_, "a reply was overwritten before it was used");
    function_ = std::move(other.function_);
    return *this;
  }
  ~Reply() { CHECK(!function_, "a reply was dropped unanswered"); }

  void operator()(T answer) {
    auto function = std::move(function_);
    function(std::move(answer));
  }
  explicit operator bool() const { return static_cast<bool>(function_); }

 private:
  Function<void(T)> function_;
};

}  // namespace millrace::common
