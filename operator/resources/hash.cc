#include "operator/resources/hash.h"

#include <cstdint>

namespace millrace::resources {

std::string hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  // The low bits of FNV-1a are the weak ones.
  hash ^= hash >> 32;
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnpqrstuvw";
  static_assert(kDigits.size() == 32);
  std::string name;
  for (int i = 0; i < 10; ++i) {
    name.push_back(kDigits[hash & 31]);
    hash >>= 5;
  }
  return name;
}

}  // namespace millrace::resources
