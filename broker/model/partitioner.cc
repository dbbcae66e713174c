#include "broker/model/partitioner.h"

#include "common/endian.h"

namespace millrace::model {

std::int32_t murmur2(common::ByteView bytes) {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  constexpr int kRotation = 24;
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(bytes.size());
  for (; bytes.size() >= 4; bytes = bytes.subspan(4)) {
    auto word = common::load_little<std::uint32_t>(bytes.data());
    word *= kMultiplier;
    word ^= word >> kRotation;
    word *= kMultiplier;
    hash *= kMultiplier;
    hash ^= word;
  }
  for (std::size_t i = bytes.size(); i > 0; --i)
    hash ^= std::uint32_t{bytes[i - 1]} << (8 * (i - 1));
  if (!bytes.empty()) hash *= kMultiplier;
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return static_cast<std::int32_t>(hash);
}

}  // namespace millrace::model
