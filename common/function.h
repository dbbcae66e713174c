// common::Function<void(int)> f = [owned = std::make_unique<int>(1)](int n) { ... };
//
// A callable held by value that may own move-only things (std::function may not;
// std::move_only_function is C++23).
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "common/check.h"

namespace millrace::common {

template <typename Signature>
class Function;

/// Move-only. Callables of up to six words live inside, larger ones on the heap. Calling an empty
/// one ends the process.
template <typename R, typename... Args>
class Function<R(Args...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}  // NOLINT: implicit on purpose
  template <typename F>
  requires(!std::is_same_v<std::decay_t<F>, Function> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
      Function(F&& callable) {  // NOLINT: implicit on purpose
    using Stored = std::decay_t<F>;
    if constexpr (sizeof(Stored) <= kInlineBytes && alignof(Stored) <= alignof(std::max_align_t) &&
                  std::is_nothrow_move_constructible_v<Stored>) {
      new (storage_) Stored(std::forward<F>(callable));
      operations_ = &kInline<Stored>;
    } else {
      *reinterpret_cast<Stored**>(storage_) = new Stored(std::forward<F>(callable));
      operations_ = &kHeap<Stored>;
    }
  }
  Function(Function&& other) noexcept { take(other); }
  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  ~Function() { reset(); }

  explicit operator bool() const { return operations_ != nullptr; }
  R operator()(Args... args) {
    CHECK(operations_ != nullptr, "an empty function was called");
    return operations_->call(storage_, std::forward<Args>(args)...);
  }
  void reset() noexcept {
    if (operations_ != nullptr) operations_->destroy(storage_);
    operations_ = nullptr;
  }

 private:
  static constexpr std::size_t kInlineBytes = 6 * sizeof(void*);
  struct Operations {
    R (*call)(void*, Args&&...);
    void (*move)(void* from, void* to) noexcept;  // leaves nothing to destroy behind
    void (*destroy)(void*) noexcept;
  };
  template <typename Stored>
  static constexpr Operations kInline = {
      [](void* at, Args&&... args) -> R {
        return (*static_cast<Stored*>(at))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept {
        auto* source = static_cast<Stored*>(from);
        new (to) Stored(std::move(*source));
        source->~Stored();
      },
      [](void* at) noexcept { static_cast<Stored*>(at)->~Stored(); }};
  template <typename Stored>
  static constexpr Operations kHeap = {
      [](void* at, Args&&... args) -> R {
        return (**static_cast<Stored**>(at))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept {
        *static_cast<Stored**>(to) = *static_cast<Stored**>(from);
      },
      [](void* at) noexcept { delete *static_cast<Stored**>(at); }};

  void take(Function& other) noexcept {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ != nullptr) operations_->move(other.storage_, storage_);
  }

  alignas(std::max_align_t) unsigned char storage_[kInlineBytes];
  const Operations* operations_ = nullptr;
};

}  // namespace millrace::common
