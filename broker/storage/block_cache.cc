#include "broker/storage/block_cache.h"

#include <utility>

namespace millrace::storage {

using model::Offset;

BlockCache::Entries::const_iterator BlockCache::covering(LogNumber log, Offset offset) const {
  auto after = entries_.upper_bound(Key{.log = log, .base = offset});
  if (after == entries_.begin()) return entries_.end();
  --after;
  const bool covers = after->first.log == log && offset < after->second.run.end;
  return covers ? after : entries_.end();
}

const Run* BlockCache::find(LogNumber log, Offset offset) {
  const auto covered = covering(log, offset);
  if (covered == entries_.end()) return nullptr;
  Entry& found = entries_.find(covered->first)->second;
  uses_.splice(uses_.begin(), found.passed ? passed_ : uses_, found.use);
  if (std::exchange(found.passed, false)) passed_bytes_ -= found.run.bytes.block_size();
  return &found.run;
}

bool BlockCache::holds(LogNumber log, Offset offset) const {
  return covering(log, offset) != entries_.end();
}

const Run* BlockCache::find_before(LogNumber log, Offset offset) const {
  auto after = entries_.lower_bound(Key{.log = log, .base = offset});
  if (after == entries_.begin()) return nullptr;
  --after;
  const bool joins = after->first.log == log && after->second.run.end == offset;
  return joins ? &after->second.run : nullptr;
}

void BlockCache::insert(LogNumber log, Run run) {
  CHECK(!run.bytes.empty() && run.base < run.end);
  const Key key{.log = log, .base = run.base};
  const auto there = entries_.find(key);
  if (there != entries_.end()) {
    if (there->second.run.end >= run.end) return;
    erase(there);
  }
  bytes_ += run.bytes.block_size();
  uses_.push_front(key);
  entries_.emplace(key, Entry{.run = std::move(run), .use = uses_.begin()});
}

void BlockCache::pass(LogNumber log, Offset base, std::size_t bytes_max) {
  const auto found = entries_.find(Key{.log = log, .base = base});
  if (found == entries_.end() || found->second.passed) return;
  found->second.passed = true;
  passed_.splice(passed_.begin(), uses_, found->second.use);
  passed_bytes_ += found->second.run.bytes.block_size();
  while (passed_bytes_ > bytes_max) erase_oldest(passed_);
}

BlockCache::Entries::iterator BlockCache::erase(Entries::iterator entry) {
  const std::size_t size = entry->second.run.bytes.block_size();
  CHECK(!entry->second.passed || passed_bytes_ >= size);
  bytes_ -= size;
  if (entry->second.passed) passed_bytes_ -= size;
  (entry->second.passed ? passed_ : uses_).erase(entry->second.use);
  return entries_.erase(entry);
}

void BlockCache::drop(LogNumber log) {
  auto entry = entries_.lower_bound(Key{.log = log, .base = Offset{INT64_MIN}});
  while (entry != entries_.end() && entry->first.log == log) entry = erase(entry);
}

void BlockCache::drop_from(LogNumber log, Offset offset) {
  auto entry = entries_.lower_bound(Key{.log = log, .base = Offset{INT64_MIN}});
  while (entry != entries_.end() && entry->first.log == log) {
    entry = entry->second.run.end > offset ? erase(entry) : std::next(entry);
  }
}

void BlockCache::erase_oldest(const std::list<Key>& uses) {
  const auto oldest = entries_.find(uses.back());
  CHECK(oldest != entries_.end());
  erase(oldest);
}

void BlockCache::drop_between(LogNumber log, Offset base, Offset end) {
  auto entry = entries_.lower_bound(Key{.log = log, .base = Offset{INT64_MIN}});
  while (entry != entries_.end() && entry->first.log == log && entry->first.base < end) {
    entry = entry->second.run.end > base ? erase(entry) : std::next(entry);
  }
}

void BlockCache::shrink(std::size_t bytes) {
  while (bytes_ > bytes) erase_oldest(passed_.empty() ? uses_ : passed_);
}

}  // namespace millrace::storage
