// Memory of what was appended lately: large buffers, filled from front to back, that the logs'
// tails point into.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "broker/storage/buffer_pool.h"
#include "broker/storage/journal_format.h"

namespace millrace::storage {

/// One buffer and the logs that have pieces in it.
struct Arena {
  struct Use {
    LogNumber log;
    /// The last piece of the log in here ends at this position of its stream.
    std::uint64_t stream_end = 0;
  };
  std::uint64_t number = 0;  // in the order of opening
  Bytes buffer;
  std::size_t used = 0;
  std::vector<Use> uses;
  bool open = true;          // still being filled
  bool flush_asked = false;  // the logs were told to write it behind

  std::size_t room() const { return buffer.size() - used; }
};

/// All arenas of a shard, oldest first. Rounds of the journal fill some, which saves large batches
/// a copy; small batches are copied closely packed into others, because a round is padded.
class Arenas {
 public:
  explicit Arenas(BufferPool& pool) : pool_(pool) {}

  /// A new arena with room for `size` bytes. The reference stays valid until the arena is
  /// forgotten.
  Arena& open(std::size_t size);
  /// No more will be put into it. Forgotten at once when no log has a piece in it.
  void close(Arena& arena);
  /// Copies a small batch closely behind the one before. `arena` tells where it went.
  Bytes place(common::ByteView bytes, Arena*& arena);
  /// The oldest that is not open any more; nullptr: none.
  Arena* oldest_closed();
  /// Marks the oldest closed arena whose logs were not yet asked to write it behind, and answers
  /// it; nullptr: none.
  Arena* ask_next();
  /// Marks this one; false if it was marked before.
  bool ask(Arena& arena);
  /// Bytes of the arenas that are not marked.
  std::size_t bytes_not_asked() const { return bytes_not_asked_; }
  /// Requires that no log has a piece in it.
  void forget(Arena& arena);
  /// Stops filling the arena of small batches if somebody waits to have it back.
  void close_small();
  /// Bytes of all arenas: what the tails keep from other uses.
  std::size_t bytes() const { return bytes_; }

 private:
  BufferPool& pool_;
  std::deque<Arena> arenas_;
  Arena* small_ = nullptr;
  std::uint64_t last_number_ = 0;
  std::size_t bytes_ = 0;
  std::size_t bytes_not_asked_ = 0;
  // Arenas below this number were offered by ask_next(): rounds must not search them again and
  // again.
  std::uint64_t ask_from_ = 0;
};

}  // namespace millrace::storage
