// Result<int> parse(std::string_view text);
// ...
// TRY_ASSIGN(const int n, parse(text));   // returns the error to the caller
//
// Expected failures are values. An Error is a code, which alone drives behaviour, and a text for
// people. Shaped like std::expected, which g++ 12 has only under C++23.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "common/check.h"

namespace millrace::model {
/// The error table (broker/model/errors.def). Declared here so that common needs no higher module.
enum class ErrorCode : short;
}  // namespace millrace::model

namespace millrace::common {

/// Why something was refused or failed: a code of the error table and a sentence for a person.
struct Error {
  model::ErrorCode code;
  std::string detail;
};

/// A value of type T, or an Error. Looking at the one that is not there ends the process.
/// What is taken out of a Result that is about to go comes by value, not as a reference into it:
/// `for (auto& x : *read())` would outlive what it walks over.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose
  Result(model::ErrorCode code, std::string detail)
      : state_(std::in_place_index<1>, Error{code, std::move(detail)}) {}

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
  const Error& error() const& {
    CHECK(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }
  Error error() && {
    CHECK(state_.index() == 1);
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value, or an Error. Success is `Result<void>{}` or `ok()`.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose
  Result(model::ErrorCode code, std::string detail) : error_(Error{code, std::move(detail)}) {}
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    CHECK(error_.has_value());
    return *error_;
  }
  Error error() && {
    CHECK(error_.has_value());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

inline Result<void> ok() {
  return {};
}

}  // namespace millrace::common

#define MILLRACE_CONCAT_INNER(a, b) a##b
#define MILLRACE_CONCAT(a, b) MILLRACE_CONCAT_INNER(a, b)

/// Returns the error of a Result<void> (or of any Result whose value is not needed) to the caller.
#define TRY(expression)                                                \
  do {                                                                 \
    if (auto try_result = (expression); !try_result.ok()) [[unlikely]] \
      return std::move(try_result).error();                            \
  } while (false)

/// Declares or assigns `target` from a Result<T>, or returns its error to the caller.
#define TRY_ASSIGN(target, expression) \
  TRY_ASSIGN_INNER(MILLRACE_CONCAT(try_result_, __LINE__), target, expression)
#define TRY_ASSIGN_INNER(result, target, expression) \
  auto result = (expression);                        \
  if (!result.ok()) [[unlikely]]                     \
    return std::move(result).error();                \
  target = std::move(result).value()
