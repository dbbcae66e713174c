// The bytes of one simulated file, as programs see them and as they would be after a loss of power.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/bytes.h"
#include "common/random.h"

namespace millrace::env::testing {

/// What a disk writes in one piece.
inline constexpr std::size_t kSectorBytes = 512;

/// How a loss of power treats what was never synced.
enum class Survival : std::uint8_t {
  kNothing,     // back to what was synced
  kEverything,  // as if all had been synced
  kPrefix,      // sectors up to a random one
  kRandom,      // each sector by itself
};

/// Content of one file. Sectors that were never written read as zeros and cost nothing; those
/// written since the last sync keep their stable bytes beside the visible ones.
class SimContent {
 public:
  std::uint64_t size() const { return size_; }
  /// Copies what is there; answers how much.
  std::size_t read(std::uint64_t position, common::MutableByteView into) const;
  /// Visible at once, stable only after a sync. Extends the file.
  void write(std::uint64_t position, common::ByteView bytes);
  /// Makes a range stable that was just written, and the size as far as its end.
  void stabilize(std::uint64_t position, std::uint64_t length);
  void resize(std::uint64_t size);

  /// A sync in two steps, for what is written between them may be lost still.
  std::uint32_t begin_sync();
  void end_sync(std::uint32_t epoch, std::uint64_t size_then);
  /// A sync that failed: each unsynced sector is either stable now or will never be, unless it is
  /// written again.
  void fail_sync(common::Random& random);

  /// Loss of power: visible and stable bytes become one. Unsynced sectors survive as `survival`
  /// says.
  void settle(Survival survival, common::Random& random);
  /// Flips one bit for good.
  void flip(std::uint64_t position, unsigned bit);
  bool dirty() const { return !dirty_chunks_.empty() || size_ != stable_size_; }

 private:
  static constexpr std::size_t kChunkSectors = 32;
  static constexpr std::size_t kChunkBytes = kChunkSectors * kSectorBytes;
  static constexpr std::uint32_t kLostEpoch = UINT32_MAX;
  struct Unsynced {
    std::array<std::uint8_t, kChunkBytes> stable;
    std::array<std::uint32_t, kChunkSectors>
        epochs;  // of the last write; kLostEpoch: no sync saves it
  };
  struct Chunk {
    std::array<std::uint8_t, kChunkBytes> visible{};
    std::uint32_t dirty = 0;  // one bit per sector
    bool listed = false;      // in dirty_chunks_
    std::unique_ptr<Unsynced> unsynced;
  };
  Chunk& chunk_at(std::size_t index);
  void touch(Chunk& chunk, std::size_t index, std::size_t sector);
  void overwrite(std::uint64_t position, const std::uint8_t* bytes, std::uint64_t length);
  template <typename Visit>
  void for_each_dirty(Visit visit);
  void unlist_clean();

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<std::uint32_t> dirty_chunks_;
  std::uint64_t size_ = 0;
  std::uint64_t stable_size_ = 0;
  std::uint32_t epoch_ = 0;
  std::uint32_t synced_epoch_ = 0;  // every sync up to this one has ended
};

}  // namespace millrace::env::testing
