// Timer session(timers, {.group = "g", .member = "m", .kind = TimerKind::kSession});
// session.set(now.instant + 45s);   ...   while (auto due = timers.take_due(now.instant)) ...
//
// The deadlines of groups and their members.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"

namespace millrace::coordinator {

/// What a deadline is for; each type of group knows its own.
enum class TimerKind : std::uint8_t {
  kSession,    // classic and consumer: a member has to be heard from
  kPending,    // classic: a member that was only told its id has to join with it
  kJoin,       // classic: the joining phase ends
  kSync,       // classic: everybody has to have asked for the assignment
  kRebalance,  // consumer: a member has to have given back what was revoked
  kAssign,     // consumer: the next assignment may be computed
};

/// Whose deadline it is. The member is empty for those of a whole group.
struct TimerTarget {
  std::string group;
  std::string member;
  TimerKind kind = TimerKind::kSession;
};

class Timers;

/// One deadline, cleared when it goes. Move-only; must not outlive its Timers. Default constructed
/// or moved from: refuses to be set.
class Timer {
 public:
  Timer() = default;
  Timer(Timers& timers, TimerTarget target);
  Timer(Timer&& other) noexcept;
  Timer& operator=(Timer&& other) noexcept;
  ~Timer();

  /// Replaces the deadline, if there was one. Cost: a store when it moves later, which is what
  /// heartbeats do to sessions; else O(log n).
  void set(common::Instant deadline);
  void clear();
  /// nullopt: not set, or taken.
  std::optional<common::Instant> deadline() const;

 private:
  friend class Timers;
  Timers* timers_ = nullptr;
  std::uint32_t slot_ = 0;
};

/// All deadlines of one machine. Deterministic: equal deadlines fire in the order in which they
/// were queued.
class Timers {
 public:
  Timers() = default;
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;
  ~Timers();

  /// When to look again. May be earlier than the earliest deadline (which then moved later), never
  /// later. nullopt: nothing is set.
  std::optional<common::Instant> next() const;
  /// Whose deadline has come, the earliest first; it stays so until it is taken. nullptr: nobody's.
  /// Valid until the next call.
  const TimerTarget* due(common::Instant now);
  /// Takes what due() says: its timer is not set any more.
  std::optional<TimerTarget> take_due(common::Instant now);
  /// Timers that are set.
  std::size_t armed() const { return armed_; }
  /// Queued entries, also those that became void: at most twice the timers that exist, and a few.
  std::size_t queued() const { return heap_.size(); }

 private:
  friend class Timer;
  struct Slot {
    TimerTarget target;
    std::optional<common::Instant> deadline;
    std::optional<common::Instant> queued;  // where its live entry of the heap stands
    std::uint64_t entry = 0;                // the number of that entry
    bool used = false;
  };
  struct Entry {
    common::Instant at;
    std::uint64_t number = 0;
    std::uint32_t slot = 0;
  };
  std::uint32_t take_slot(TimerTarget target);
  void free_slot(std::uint32_t slot);
  void set(std::uint32_t slot, common::Instant deadline);
  void clear(std::uint32_t slot);
  void queue(std::uint32_t slot, common::Instant at);
  bool is_void(const Entry& entry) const;
  void drop_void_entries();

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<Entry> heap_;
  std::uint64_t entries_made_ = 0;
  std::size_t armed_ = 0;
};

}  // namespace millrace::coordinator
