// KeyMap map({.bytes_max = 64 << 20, .keys_max = 1'000'000}, secret);
// map.put(key, offset);   map.find(key);
//
// The last offset of each key, in memory that is bounded from the start: what compaction goes by.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/model/ids.h"
#include "common/bytes.h"

namespace millrace::storage {

/// 128 bits that stand for a key.
struct KeyHash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const KeyHash&) const = default;
};

/// What hashes depend on beside the key. Two keys with one hash would cost a record, so clients
/// must not be able to choose such keys: nobody outside knows this.
struct HashSecret {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

/// SipHash-2-4 with 128 bits (Aumasson and Bernstein).
KeyHash hash_key(common::ByteView key, const HashSecret& secret);

/// Keys are kept as their hash alone, so a key takes the same whatever its length: kBytesPerKey.
/// Belongs to one run of compaction; any thread, one at a time.
class KeyMap {
 public:
  struct Bounds {
    std::uint64_t bytes_max = 0;
    /// No more different keys than this will come: less memory may do.
    std::uint64_t keys_max = 0;
  };
  /// With the share of slots that must stay free.
  static constexpr std::uint64_t kBytesPerKey = 32;

  /// Takes its memory at once; room for one key at least.
  KeyMap(Bounds bounds, const HashSecret& secret);
  /// Notes that the key's last record is at this offset. False: there is no room for another key,
  /// and nothing was changed. Requires that offsets of a key grow.
  bool put(common::ByteView key, model::Offset offset);
  /// nullopt: the key was not put.
  std::optional<model::Offset> find(common::ByteView key) const;
  std::uint64_t size() const { return size_; }
  std::uint64_t memory_bytes() const { return slots_.size() * sizeof(Slot); }

 private:
  struct Slot {
    KeyHash hash;
    std::int64_t offset_plus_one = 0;  // 0: free
  };
  static_assert(sizeof(Slot) == 24);
  std::size_t place_of(const KeyHash& hash) const;

  const HashSecret secret_;
  std::vector<Slot> slots_;
  std::uint64_t size_max_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace millrace::storage
