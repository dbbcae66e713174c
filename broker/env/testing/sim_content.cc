#include "broker/env/testing/sim_content.h"

#include <algorithm>
#include <cstring>

namespace millrace::env::testing {

std::size_t SimContent::read(std::uint64_t position, common::MutableByteView into) const {
  if (position >= size_) return 0;
  const std::size_t length = std::min<std::uint64_t>(into.size(), size_ - position);
  std::size_t done = 0;
  while (done < length) {
    const std::size_t index = (position + done) / kChunkBytes;
    const std::size_t inside = (position + done) % kChunkBytes;
    const std::size_t count = std::min(length - done, kChunkBytes - inside);
    const Chunk* chunk = index < chunks_.size() ? chunks_[index].get() : nullptr;
    if (chunk == nullptr) {
      std::memset(into.data() + done, 0, count);
    } else {
      std::memcpy(into.data() + done, chunk->visible.data() + inside, count);
    }
    done += count;
  }
  return length;
}

SimContent::Chunk& SimContent::chunk_at(std::size_t index) {
  if (index >= chunks_.size()) chunks_.resize(index + 1);
  if (chunks_[index] == nullptr) chunks_[index] = std::make_unique<Chunk>();
  return *chunks_[index];
}

void SimContent::touch(Chunk& chunk, std::size_t index, std::size_t sector) {
  const std::uint32_t bit = std::uint32_t{1} << sector;
  const std::size_t at = sector * kSectorBytes;
  if (chunk.unsynced == nullptr) chunk.unsynced.reset(new Unsynced);
  if (!chunk.listed) {
    chunk.listed = true;
    dirty_chunks_.push_back(static_cast<std::uint32_t>(index));
  }
  const bool was_dirty = (chunk.dirty & bit) != 0;
  // Written before a sync that is on its way, and again now: what that sync covers counts as stable
  // already.
  const bool being_synced = was_dirty && chunk.unsynced->epochs[sector] < epoch_ &&
                            chunk.unsynced->epochs[sector] >= synced_epoch_;
  if (!was_dirty || being_synced) {
    std::memcpy(chunk.unsynced->stable.data() + at, chunk.visible.data() + at, kSectorBytes);
  }
  chunk.dirty |= bit;
  chunk.unsynced->epochs[sector] = epoch_;
}

void SimContent::overwrite(std::uint64_t position, const std::uint8_t* bytes,
                           std::uint64_t length) {
  std::uint64_t done = 0;
  while (done < length) {
    const std::size_t index = (position + done) / kChunkBytes;
    const std::size_t inside = (position + done) % kChunkBytes;
    const std::size_t count = std::min<std::uint64_t>(length - done, kChunkBytes - inside);
    Chunk& chunk = chunk_at(index);
    for (std::size_t s = inside / kSectorBytes; s <= (inside + count - 1) / kSectorBytes; ++s) {
      touch(chunk, index, s);
    }
    if (bytes == nullptr) {
      std::memset(chunk.visible.data() + inside, 0, count);
    } else {
      std::memcpy(chunk.visible.data() + inside, bytes + done, count);
    }
    done += count;
  }
}

void SimContent::write(std::uint64_t position, common::ByteView bytes) {
  if (bytes.empty()) return;
  overwrite(position, bytes.data(), bytes.size());
  size_ = std::max(size_, position + bytes.size());
}

void SimContent::resize(std::uint64_t size) {
  if (size < size_) {
    // The cut part reads as zeros if the file grows again, but may be back after a loss of power.
    const std::uint64_t there = std::min<std::uint64_t>(size_, chunks_.size() * kChunkBytes);
    for (std::uint64_t at = size; at < there;) {
      const std::uint64_t end =
          std::min<std::uint64_t>(there, (at / kChunkBytes + 1) * kChunkBytes);
      if (chunks_[at / kChunkBytes] != nullptr) overwrite(at, nullptr, end - at);
      at = end;
    }
  }
  size_ = size;
}

template <typename Visit>
void SimContent::for_each_dirty(Visit visit) {
  for (const std::uint32_t index : dirty_chunks_) {
    Chunk& chunk = *chunks_[index];
    for (std::size_t sector = 0; sector < kChunkSectors; ++sector) {
      if ((chunk.dirty >> sector & 1) != 0) visit(chunk, sector);
    }
  }
}

void SimContent::unlist_clean() {
  std::erase_if(dirty_chunks_, [this](std::uint32_t index) {
    if (chunks_[index]->dirty != 0) return false;
    chunks_[index]->listed = false;
    return true;
  });
}

void SimContent::stabilize(std::uint64_t position, std::uint64_t length) {
  const std::uint64_t first = position / kSectorBytes * kSectorBytes;
  for (std::uint64_t at = first; at < position + length; at += kSectorBytes) {
    Chunk& chunk = *chunks_[at / kChunkBytes];
    chunk.dirty &= ~(std::uint32_t{1} << at % kChunkBytes / kSectorBytes);
  }
  unlist_clean();
  stable_size_ = std::max(stable_size_, std::min(position + length, size_));
}

std::uint32_t SimContent::begin_sync() {
  return epoch_++;
}

void SimContent::end_sync(std::uint32_t epoch, std::uint64_t size_then) {
  for_each_dirty([epoch](Chunk& chunk, std::size_t sector) {
    if (chunk.unsynced->epochs[sector] <= epoch) chunk.dirty &= ~(std::uint32_t{1} << sector);
  });
  unlist_clean();
  stable_size_ = size_then;
  synced_epoch_ = std::max(synced_epoch_, epoch + 1);
}

void SimContent::fail_sync(common::Random& random) {
  for_each_dirty([&random](Chunk& chunk, std::size_t sector) {
    if (random.chance(1, 2)) {
      chunk.dirty &= ~(std::uint32_t{1} << sector);
    } else {
      chunk.unsynced->epochs[sector] = kLostEpoch;
    }
  });
  unlist_clean();
}

void SimContent::settle(Survival survival, common::Random& random) {
  std::sort(dirty_chunks_.begin(), dirty_chunks_.end());
  std::uint64_t left = 0;
  if (survival == Survival::kPrefix) {
    for_each_dirty([&left](Chunk&, std::size_t) { ++left; });
    left = random.below(left + 1);
  }
  for_each_dirty([&](Chunk& chunk, std::size_t sector) {
    bool survives = survival == Survival::kEverything;
    if (survival == Survival::kRandom) survives = random.chance(1, 2);
    if (survival == Survival::kPrefix && left > 0) {
      survives = true;
      --left;
    }
    if (chunk.unsynced->epochs[sector] == kLostEpoch) survives = false;
    if (!survives) {
      const std::size_t at = sector * kSectorBytes;
      std::memcpy(chunk.visible.data() + at, chunk.unsynced->stable.data() + at, kSectorBytes);
    }
    chunk.dirty &= ~(std::uint32_t{1} << sector);
  });
  unlist_clean();
  if (survival == Survival::kNothing) {
    size_ = stable_size_;
  } else if (survival != Survival::kEverything && size_ != stable_size_) {
    const std::uint64_t low = std::min(size_, stable_size_);
    const std::uint64_t high = std::max(size_, stable_size_);
    const std::uint64_t third =
        std::clamp((low + random.below(high - low + 1)) / kSectorBytes * kSectorBytes, low, high);
    const std::uint64_t choices[] = {size_, stable_size_, third};
    size_ = choices[random.below(3)];
  }
  stable_size_ = size_;
  // Bytes past the end are no one's: a file that grows again reads zeros there.
  for (std::uint64_t at = size_; at < chunks_.size() * kChunkBytes;) {
    const std::uint64_t end = (at / kChunkBytes + 1) * kChunkBytes;
    if (auto& chunk = chunks_[at / kChunkBytes]; chunk != nullptr) {
      std::memset(chunk->visible.data() + at % kChunkBytes, 0, end - at);
    }
    at = end;
  }
}

void SimContent::flip(std::uint64_t position, unsigned bit) {
  CHECK(position < size_ && bit < 8);
  Chunk& chunk = chunk_at(position / kChunkBytes);
  const auto mask = static_cast<std::uint8_t>(1U << bit);
  chunk.visible[position % kChunkBytes] ^= mask;
  const std::size_t sector = position % kChunkBytes / kSectorBytes;
  if ((chunk.dirty >> sector & 1) != 0) chunk.unsynced->stable[position % kChunkBytes] ^= mask;
}

}  // namespace millrace::env::testing
