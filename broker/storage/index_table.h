// The indexes of sealed segments that are in memory.
#pragma once

#include <cstdint>
#include <list>
#include <map>

#include "broker/storage/index.h"

namespace millrace::storage {

/// Those still to be written to their file are kept; of the others those that were used longest ago
/// are forgotten.
class IndexTable {
 public:
  explicit IndexTable(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  /// nullptr: not in memory. Valid until the table changes.
  const SegmentIndex* find(LogNumber log, model::Offset base);
  /// Of a segment that was sealed just now: stays until written().
  void keep(LogNumber log, model::Offset base, SegmentIndex index);
  /// The kept index; nullptr: there is none.
  const SegmentIndex* kept(LogNumber log, model::Offset base) const;
  void written(LogNumber log, model::Offset base);
  void insert(LogNumber log, model::Offset base, SegmentIndex index);
  void drop(LogNumber log, model::Offset base);

 private:
  struct Key {
    LogNumber log;
    model::Offset base;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    SegmentIndex index;
    bool unwritten = false;
    std::list<Key>::iterator use;
  };
  void put(const Key& key, SegmentIndex index, bool unwritten);
  void shrink();
  static std::size_t cost(const SegmentIndex& index) {
    return index.memory_bytes() + sizeof(Entry) + sizeof(Key);
  }

  const std::size_t bytes_max_;
  std::map<Key, Entry> entries_;
  std::list<Key> uses_;  // of those that may go; most recent first
  std::size_t bytes_ = 0;
};

}  // namespace millrace::storage
