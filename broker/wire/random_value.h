// Random single values for the generated randomize() functions. Tests only.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "broker/wire/chunks.h"
#include "common/bytes.h"
#include "common/random.h"
#include "common/uuid.h"

namespace millrace::wire {

/// Elements of an array: mostly few, so that nested arrays stay small.
inline std::uint64_t random_count(common::Random& random) {
  return random.below(4);
}

inline void random_value(bool& out, common::Random& random) {
  out = random.chance(1, 2);
}
/// Small values, extremes and anything.
template <std::integral T>
void random_value(T& out, common::Random& random) {
  const auto any = static_cast<T>(random.next());
  switch (random.below(4)) {
    case 0:
      out = static_cast<T>(random.below(5));
      break;
    case 1:
      out = static_cast<T>(-1);
      break;
    case 2:
      out = std::numeric_limits<T>::max();
      break;
    default:
      out = any;
      break;
  }
}
inline void random_value(double& out, common::Random& random) {
  out = static_cast<double>(static_cast<std::int64_t>(random.next())) / 1024;
}
inline void random_value(common::Uuid& out, common::Random& random) {
  out = common::Uuid::random(random);
}
/// UTF-8: mostly short, at times longer than the one-byte length of the compact form.
inline void random_value(std::string& out, common::Random& random) {
  static constexpr std::string_view kPieces[] = {
      "a", "Z", "7", ".", "-", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x8e"};
  const std::uint64_t pieces = random.chance(1, 20) ? random.below(500) : random.below(12);
  out.clear();
  for (std::uint64_t i = 0; i < pieces; ++i) out += kPieces[random.below(std::size(kPieces))];
}
/// On both sides of the size up to which a Writer copies.
inline void random_value(common::Bytes& out, common::Random& random) {
  out = common::Bytes::allocate(random.below(random.chance(1, 4) ? 5000 : 40));
  for (std::size_t i = 0; i < out.size(); ++i)
    out.mutable_data()[i] = static_cast<std::uint8_t>(random.next());
}
inline void random_value(Chunks& out, common::Random& random) {
  out = Chunks();
  for (std::uint64_t pieces = random.below(3); pieces > 0; --pieces) {
    common::Bytes piece;
    random_value(piece, random);
    out.add(std::move(piece));
  }
}

}  // namespace millrace::wire
