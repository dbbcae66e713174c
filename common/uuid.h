// A 128-bit identity as Kafka writes it: 22 characters of URL-safe base64 without padding.
#pragma once

#include <fmt/format.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::common {

class Random;

/// Sixteen bytes. All zero means "none", as in the Kafka protocol (KIP-516).
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  /// A random version-4 UUID whose text does not begin with '-' (command lines would take it for an
  /// option).
  static Uuid random(Random& random);
  /// nullopt unless the text is exactly 22 characters of the alphabet and decodes to 16 bytes.
  static std::optional<Uuid> parse(std::string_view text);
  std::string text() const;
  bool is_zero() const { return *this == Uuid{}; }
  auto operator<=>(const Uuid&) const = default;
};

}  // namespace millrace::common

template <>
struct fmt::formatter<millrace::common::Uuid> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const millrace::common::Uuid& uuid, Context& context) const {
    return fmt::formatter<std::string_view>::format(uuid.text(), context);
  }
};

template <>
struct std::hash<millrace::common::Uuid> {
  std::size_t operator()(const millrace::common::Uuid& uuid) const noexcept;
};
