// struct TermTag {}; using Term = common::Number<TermTag, std::int32_t>;
//
// Distinct types for numbers and identities that must not be mixed up.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <functional>

namespace millrace::common {

/// An integer with a meaning: two of different tags neither compare nor convert.
template <typename Tag, typename Integer>
class Number {
 public:
  using integer = Integer;
  constexpr Number() = default;
  constexpr explicit Number(Integer value) : value_(value) {}
  constexpr Integer value() const { return value_; }
  constexpr auto operator<=>(const Number&) const = default;
  constexpr Number operator+(Integer distance) const { return Number(value_ + distance); }
  constexpr Number operator-(Integer distance) const { return Number(value_ - distance); }
  constexpr Integer operator-(Number other) const { return value_ - other.value_; }
  constexpr Number& operator++() {
    ++value_;
    return *this;
  }

 private:
  Integer value_ = 0;
};

}  // namespace millrace::common

template <typename Tag, typename Integer>
struct fmt::formatter<millrace::common::Number<Tag, Integer>> : fmt::formatter<Integer> {
  template <typename Context>
  auto format(millrace::common::Number<Tag, Integer> number, Context& context) const {
    return fmt::formatter<Integer>::format(number.value(), context);
  }
};

template <typename Tag, typename Integer>
struct std::hash<millrace::common::Number<Tag, Integer>> {
  std::size_t operator()(millrace::common::Number<Tag, Integer> number) const noexcept {
    return std::hash<Integer>{}(number.value());
  }
};
