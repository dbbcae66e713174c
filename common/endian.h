// Fixed-width integers in memory. Big endian: the Kafka protocol. Little endian: our own files.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace millrace::common {

template <std::integral T>
constexpr T byte_swap(T value) {
  using U = std::make_unsigned_t<T>;
  if constexpr (sizeof(T) == 1) {
    return value;
  } else if constexpr (sizeof(T) == 2) {
    return static_cast<T>(__builtin_bswap16(static_cast<U>(value)));
  } else if constexpr (sizeof(T) == 4) {
    return static_cast<T>(__builtin_bswap32(static_cast<U>(value)));
  } else {
    return static_cast<T>(__builtin_bswap64(static_cast<U>(value)));
  }
}

static_assert(std::endian::native == std::endian::little,
              "the loads below assume a little-endian machine");

template <std::integral T>
T load_big(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return byte_swap(value);
}
template <std::integral T>
void store_big(std::uint8_t* at, T value) {
  value = byte_swap(value);
  std::memcpy(at, &value, sizeof(T));
}
template <std::integral T>
T load_little(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}
template <std::integral T>
void store_little(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

}  // namespace millrace::common
