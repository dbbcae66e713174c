#include "broker/storage/key_map.h"

#include <algorithm>
#include <bit>

#include "common/endian.h"

namespace millrace::storage {
namespace {

/// The state of SipHash: four words that every eight bytes of the message are mixed into.
struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void mix(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      v0 += v1;
      v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = std::rotl(v1, 17) ^ v2;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 = std::rotl(v2, 32);
    }
  }
  void take(std::uint64_t word) {
    v3 ^= word;
    mix(2);
    v0 ^= word;
  }
  std::uint64_t folded() const { return v0 ^ v1 ^ v2 ^ v3; }
};

// A slot of 24 bytes for each key, and a quarter of them free so that searches stay short.
static_assert(KeyMap::kBytesPerKey * 3 == 24 * 4);

}  // namespace

KeyHash hash_key(common::ByteView key, const HashSecret& secret) {
  SipState state{.v0 = secret.first ^ 0x736f6d6570736575ULL,
                 .v1 = secret.second ^ 0x646f72616e646f6dULL ^ 0xee,
                 .v2 = secret.first ^ 0x6c7967656e657261ULL,
                 .v3 = secret.second ^ 0x7465646279746573ULL};
  std::uint64_t last = static_cast<std::uint64_t>(key.size()) << 56;
  while (key.size() >= 8) {
    state.take(common::load_little<std::uint64_t>(key.data()));
    key = key.subspan(8);
  }
  for (std::size_t i = 0; i < key.size(); ++i)
    last |= static_cast<std::uint64_t>(key[i]) << (8 * i);
  state.take(last);
  KeyHash hash;
  state.v2 ^= 0xee;
  state.mix(4);
  hash.high = state.folded();
  state.v1 ^= 0xdd;
  state.mix(4);
  hash.low = state.folded();
  return hash;
}

KeyMap::KeyMap(Bounds bounds, const HashSecret& secret) : secret_(secret) {
  size_max_ =
      std::max<std::uint64_t>(1, std::min(bounds.bytes_max / kBytesPerKey, bounds.keys_max));
  slots_.resize(size_max_ + size_max_ / 3 + 1);
}

// The slot that holds the hash, or the free one where it belongs.
std::size_t KeyMap::place_of(const KeyHash& hash) const {
  std::size_t place = hash.high % slots_.size();
  while (slots_[place].offset_plus_one != 0 && slots_[place].hash != hash)
    place = place + 1 == slots_.size() ? 0 : place + 1;
  return place;
}

bool KeyMap::put(common::ByteView key, model::Offset offset) {
  CHECK(offset >= model::Offset{0});
  const KeyHash hash = hash_key(key, secret_);
  Slot& slot = slots_[place_of(hash)];
  if (slot.offset_plus_one == 0) {
    if (size_ == size_max_) return false;
    slot.hash = hash;
    ++size_;
    CHECK(size_ < slots_.size(), "no slot is free");
  }
  CHECK(offset.value() >= slot.offset_plus_one, "offsets of a key go back");
  slot.offset_plus_one = offset.value() + 1;
  return true;
}

std::optional<model::Offset> KeyMap::find(common::ByteView key) const {
  const Slot& slot = slots_[place_of(hash_key(key, secret_))];
  if (slot.offset_plus_one == 0) return std::nullopt;
  return model::Offset{slot.offset_plus_one - 1};
}

}  // namespace millrace::storage
