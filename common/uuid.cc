#include "common/uuid.h"

#include <cstring>

#include "common/random.h"

namespace millrace::common {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kTextSize = 22;

}  // namespace

Uuid Uuid::random(Random& random) {
  Uuid uuid;
  do {
    for (std::size_t i = 0; i < uuid.bytes.size(); i += 8) {
      const std::uint64_t draw = random.next();
      std::memcpy(uuid.bytes.data() + i, &draw, sizeof(draw));
    }
    uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);
    uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
  } while (uuid.text().front() == '-');
  return uuid;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != kTextSize) return std::nullopt;
  Uuid uuid;
  std::uint32_t bits = 0;
  int bit_count = 0;
  std::size_t position = 0;
  for (const char character : text) {
    const auto digit = kAlphabet.find(character);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    bit_count += 6;
    if (bit_count >= 8 && position < uuid.bytes.size()) {
      bit_count -= 8;
      uuid.bytes[position++] = static_cast<std::uint8_t>(bits >> bit_count);
      bits &= (1U << bit_count) - 1;
    }
  }
  // 22 digits carry 132 bits: the last four must be zero, so that every identity has one spelling.
  if (bits != 0) return std::nullopt;
  return uuid;
}

std::string Uuid::text() const {
  std::string text;
  text.reserve(kTextSize);
  std::uint32_t bits = 0;
  int bit_count = 0;
  for (const std::uint8_t byte : bytes) {
    bits = (bits << 8) | byte;
    bit_count += 8;
    while (bit_count >= 6) {
      bit_count -= 6;
      text.push_back(kAlphabet[(bits >> bit_count) & 63]);
    }
    bits &= (1U << bit_count) - 1;
  }
  text.push_back(kAlphabet[(bits << (6 - bit_count)) & 63]);
  return text;
}

}  // namespace millrace::common

std::size_t std::hash<millrace::common::Uuid>::operator()(
    const millrace::common::Uuid& uuid) const noexcept {
  std::size_t low;
  std::memcpy(&low, uuid.bytes.data(), sizeof(low));
  std::size_t high;
  std::memcpy(&high, uuid.bytes.data() + 8, sizeof(high));
  return low ^ (high * 0x9e3779b97f4a7c15ULL);
}
