// Verified batches that were read from disk, for the next reader and for the one who reads on.
#pragma once

#include <cstdint>
#include <list>
#include <map>

#include "broker/storage/journal_format.h"
#include "common/bytes.h"

namespace millrace::storage {

using common::Bytes;

/// Whole batches of one segment, one after the other, as they came with one read.
struct Run {
  Bytes bytes;
  model::Offset base;
  model::Offset end;
  model::Offset segment_base;
  /// Position of the first byte in the segment.
  std::uint64_t position = 0;
};

/// Forgets those that were used longest ago; before them what a reader went past, which is soon
/// read again only by one who follows closely. So a replay of much old data neither drives out what
/// others read nor spreads over all the memory it could have. Shard thread only.
class BlockCache {
 public:
  /// The run that holds this offset; nullptr: none. Counts as a use. Valid until the cache changes.
  const Run* find(LogNumber log, model::Offset offset);
  /// The run that ends right in front of this offset; nullptr: none.
  const Run* find_before(LogNumber log, model::Offset offset) const;
  bool holds(LogNumber log, model::Offset offset) const;
  void insert(LogNumber log, Run run);
  /// A reader took the run with this base as a whole and reads on. At most `bytes_max` of such are
  /// kept.
  void pass(LogNumber log, model::Offset base, std::size_t bytes_max);
  void drop(LogNumber log);
  /// Drops what reaches beyond this offset.
  void drop_from(LogNumber log, model::Offset offset);
  /// Drops what reaches into [base, end).
  void drop_between(LogNumber log, model::Offset base, model::Offset end);
  /// Evicts until at most this many bytes are held.
  void shrink(std::size_t bytes);
  /// Memory that the runs keep, their whole buffers.
  std::size_t bytes() const { return bytes_; }

 private:
  struct Key {
    LogNumber log;
    model::Offset base;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    Run run;
    std::list<Key>::iterator use;  // in passed_ or in uses_
    bool passed = false;
  };
  using Entries = std::map<Key, Entry>;
  Entries::const_iterator covering(LogNumber log, model::Offset offset) const;
  Entries::iterator erase(Entries::iterator entry);
  void erase_oldest(const std::list<Key>& uses);

  Entries entries_;
  std::list<Key> uses_;    // most recent first
  std::list<Key> passed_;  // likewise
  std::size_t bytes_ = 0;
  std::size_t passed_bytes_ = 0;
};

}  // namespace millrace::storage
