// Outcome<Page, ApiError> list(...);
// ...
// TRY_ASSIGN(const Page page, list(...));   // in a function that returns Outcome<..., ApiError>
//
// As Result (common/result.h), for modules whose errors say more than a code of the broker's table.
#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "common/check.h"
#include "common/result.h"

namespace millrace::common {

/// A value of type T, or an error of type E. Looking at the one that is not there ends the process.
/// E has a member `detail`, a sentence for people. TRY and TRY_ASSIGN work as with Result.
template <typename T, typename E>
class [[nodiscard]] Outcome {
 public:
  using value_type = T;
  using error_type = E;
  Outcome(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Outcome(E error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  const T& value() const& {
    CHECK(ok(), "{}", error().detail);
    return *std::get_if<0>(&state_);
  }
  T& value() & {
    CHECK(ok(), "{}", error().detail);
    return *std::get_if<0>(&state_);
  }
  T value() && {
    CHECK(ok(), "{}", error().detail);
    return std::move(*std::get_if<0>(&state_));
  }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  const E& error() const& {
    CHECK(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }
  E error() && {
    CHECK(state_.index() == 1);
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, E> state_;
};

/// Success without a value, or an error. Success is `{}`.
template <typename E>
class [[nodiscard]] Outcome<void, E> {
 public:
  using value_type = void;
  using error_type = E;
  Outcome() = default;
  Outcome(E error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const E& error() const& {
    CHECK(error_.has_value());
    return *error_;
  }
  E error() && {
    CHECK(error_.has_value());
    return std::move(*error_);
  }

 private:
  std::optional<E> error_;
};

}  // namespace millrace::common
