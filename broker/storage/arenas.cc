#include "broker/storage/arenas.h"

#include <algorithm>

namespace millrace::storage {

Arena& Arenas::open(std::size_t size) {
  // Forgotten arenas in the middle keep their place until they reach the front, so that references
  // stay valid.
  while (!arenas_.empty() && arenas_.front().buffer.empty()) arenas_.pop_front();
  Arena& arena = arenas_.emplace_back();
  arena.number = ++last_number_;
  arena.buffer = pool_.take(size);
  bytes_ += arena.buffer.size();
  bytes_not_asked_ += arena.buffer.size();
  CHECK(arena.buffer.size() >= size);
  return arena;
}

void Arenas::close(Arena& arena) {
  CHECK(arena.open);
  arena.open = false;
  if (arena.uses.empty()) forget(arena);
}

Bytes Arenas::place(common::ByteView bytes, Arena*& arena) {
  if (small_ == nullptr || small_->room() < bytes.size()) {
    close_small();
    small_ = &open(std::max(bytes.size(), pool_.buffer_bytes()));
  }
  arena = small_;
  std::memcpy(small_->buffer.mutable_data() + small_->used, bytes.data(), bytes.size());
  Bytes placed = small_->buffer.slice(small_->used, bytes.size());
  small_->used += bytes.size();
  return placed;
}

void Arenas::close_small() {
  if (small_ != nullptr) close(*std::exchange(small_, nullptr));
}

Arena* Arenas::oldest_closed() {
  const auto found = std::find_if(arenas_.begin(), arenas_.end(), [](const Arena& arena) {
    return !arena.open && !arena.buffer.empty();
  });
  return found == arenas_.end() ? nullptr : &*found;
}

Arena* Arenas::ask_next() {
  if (arenas_.empty()) return nullptr;
  // Numbers are consecutive from the front on: forgotten arenas keep their place until they reach
  // it.
  std::uint64_t number = std::max(ask_from_, arenas_.front().number);
  for (; number <= arenas_.back().number; ++number) {
    Arena& arena = arenas_[number - arenas_.front().number];
    CHECK(arena.number == number);
    // Open ones are few; who comes to evict one of them later asks for it then.
    if (arena.open || arena.buffer.empty() || !ask(arena)) continue;
    ask_from_ = number + 1;
    return &arena;
  }
  ask_from_ = number;
  return nullptr;
}

bool Arenas::ask(Arena& arena) {
  if (std::exchange(arena.flush_asked, true)) return false;
  CHECK(bytes_not_asked_ >= arena.buffer.size());
  bytes_not_asked_ -= arena.buffer.size();
  return true;
}

void Arenas::forget(Arena& arena) {
  CHECK(!arena.open && !arena.buffer.empty());
  CHECK(bytes_ >= arena.buffer.size());
  bytes_ -= arena.buffer.size();
  if (!arena.flush_asked) bytes_not_asked_ -= arena.buffer.size();
  arena.buffer = {};
  arena.uses = {};
  while (!arenas_.empty() && arenas_.front().buffer.empty()) arenas_.pop_front();
}

}  // namespace millrace::storage
