// Timers of one loop: set, cancelled and fired in logarithmic time, with no allocation per timer
// once warm.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/env/loop.h"

namespace millrace::env {

/// A min-heap of instants over reused slots. Timers of one instant fire in the order in which they
/// were set. A cancelled timer leaves its heap entry behind; the heap is rebuilt when most of it is
/// such.
class TimerQueue {
 public:
  TimerId add(common::Instant at, Task task);
  /// Destroys the task. Nothing happens if the timer fired or was cancelled.
  void cancel(TimerId timer);
  /// When the earliest timer is due.
  std::optional<common::Instant> next();
  /// The task of the earliest timer that is due by `now`; an empty one if none is.
  Task take_due(common::Instant now);
  std::size_t size() const { return live_; }
  /// Takes all tasks out, to be destroyed.
  std::vector<Task> clear();

 private:
  struct Entry {
    common::Instant at;
    std::uint64_t sequence;
    std::uint32_t slot;
    bool operator<(const Entry& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };
  struct Slot {
    std::uint64_t sequence = 0;  // 0: free
    Task task;
  };
  bool stale(const Entry& entry) const { return slots_[entry.slot].sequence != entry.sequence; }
  void drop_stale_top();
  Task free_slot(std::uint32_t slot);

  std::vector<Entry> heap_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::uint64_t last_sequence_ = 0;
  std::size_t live_ = 0;
};

}  // namespace millrace::env
