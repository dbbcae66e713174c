#include "broker/storage/index_table.h"

namespace millrace::storage {

using model::Offset;

const SegmentIndex* IndexTable::find(LogNumber log, Offset base) {
  const auto found = entries_.find({.log = log, .base = base});
  if (found == entries_.end()) return nullptr;
  if (!found->second.unwritten) uses_.splice(uses_.begin(), uses_, found->second.use);
  return &found->second.index;
}

void IndexTable::put(const Key& key, SegmentIndex index, bool unwritten) {
  drop(key.log, key.base);
  Entry entry{.index = std::move(index), .unwritten = unwritten};
  if (!unwritten) {
    bytes_ += cost(entry.index);
    uses_.push_front(key);
    entry.use = uses_.begin();
  }
  entries_.emplace(key, std::move(entry));
  shrink();
}

void IndexTable::keep(LogNumber log, Offset base, SegmentIndex index) {
  put({.log = log, .base = base}, std::move(index), true);
}

void IndexTable::insert(LogNumber log, Offset base, SegmentIndex index) {
  put({.log = log, .base = base}, std::move(index), false);
}

const SegmentIndex* IndexTable::kept(LogNumber log, Offset base) const {
  const auto found = entries_.find({.log = log, .base = base});
  return found != entries_.end() && found->second.unwritten ? &found->second.index : nullptr;
}

void IndexTable::written(LogNumber log, Offset base) {
  const auto found = entries_.find({.log = log, .base = base});
  if (found == entries_.end() || !found->second.unwritten) return;
  SegmentIndex index = std::move(found->second.index);
  entries_.erase(found);
  insert(log, base, std::move(index));
}

void IndexTable::drop(LogNumber log, Offset base) {
  const auto found = entries_.find({.log = log, .base = base});
  if (found == entries_.end()) return;
  if (!found->second.unwritten) {
    bytes_ -= cost(found->second.index);
    uses_.erase(found->second.use);
  }
  entries_.erase(found);
}

void IndexTable::shrink() {
  // The latest one stays whatever its size: its reader is about to look at it.
  while (bytes_ > bytes_max_ && uses_.size() > 1) drop(uses_.back().log, uses_.back().base);
}

}  // namespace millrace::storage
