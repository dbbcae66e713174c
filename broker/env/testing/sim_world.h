// SimWorld world(seed);   SimLoop& loop = world.make_loop();   loop.post(...);   world.run();
//
// Simulated time and threads: everything that happens is an event of one queue, ordered by time and
// then by when it was asked for, so that a seed replays a run exactly.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "broker/env/loop.h"
#include "common/random.h"
#include "common/reply.h"

namespace millrace::env::testing {

class SimWorld;

/// One machine's view of the time: everybody's, but its wall clock may be wrong.
class SkewedClock final : public common::Clock {
 public:
  explicit SkewedClock(const common::Clock& truth) : truth_(truth) {}
  common::Instant now() const override { return truth_.now(); }
  common::Timestamp wall() const override { return truth_.wall() + skew_ms_; }
  void set_skew(std::int64_t ms) { skew_ms_ = ms; }

 private:
  const common::Clock& truth_;
  std::int64_t skew_ms_ = 0;
};

/// One shard's loop in the simulated world. Belongs to its world.
class SimLoop final : public Loop {
 public:
  SimLoop(SimWorld& world, std::uint32_t index);
  void post(Task task) override;
  TimerId after(common::Duration delay, Task task) override;
  void cancel(TimerId timer) override;
  const common::Clock& clock() const override;
  /// Also true between events, so that a test may call in directly.
  bool here() const override;
  /// The thread ends: what is queued is destroyed unrun, and so is what comes later. Replies may be
  /// dropped by it, and by what is left of the event that is under way.
  void stop();
  bool stopped() const { return stopped_; }
  /// The process does not run for so long, and does not know: what was due meanwhile runs
  /// afterwards, in its order.
  void pause_for(common::Duration span);
  /// How far this machine's wall clock is ahead of the world's.
  void set_wall_skew(std::int64_t ms) { clock_.set_skew(ms); }
  SimWorld& world() { return world_; }

 private:
  friend class SimWorld;
  SimWorld& world_;
  std::uint32_t index_;
  SkewedClock clock_;
  bool stopped_ = false;
  common::Instant last_post_{};
  common::Instant paused_until_{};
};

/// The clock, the event queue and the source of chance of one simulated run. Single-threaded.
class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed);
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  SimLoop& make_loop();
  common::Random& random() { return random_; }
  /// For jumps of wall time; time itself is moved by events alone.
  common::ManualClock& clock() { return clock_; }

  /// Runs the next event. False: there is none.
  bool step();
  /// Runs until nothing is left to happen. Ends the process after `events_max` events: something
  /// repeats for ever.
  void run(std::uint64_t events_max = 10'000'000);
  /// Runs all events of the next `span` and leaves the clock at its end.
  void run_for(common::Duration span);
  /// Runs until the condition holds. False: `limit` passed, or nothing is left to happen, and it
  /// does not.
  bool run_until(common::Function<bool()> condition,
                 common::Duration limit = std::chrono::hours(1));

  /// Runs the task on `loop` after `delay`; on no loop at all if that is null (disks, networks, the
  /// I/O pool).
  TimerId schedule(SimLoop* loop, common::Duration delay, Task task);
  void cancel(TimerId event);
  /// Destroys unrun everything scheduled for this loop.
  void drop_events_of(SimLoop* loop);

  /// Events that ran so far.
  std::uint64_t events() const { return events_; }
  /// A digest of all that happened: equal seeds and inputs give equal ones.
  std::uint64_t digest() const { return digest_; }
  /// Adds a number to the digest: tests and doubles trace what they do.
  void note(std::uint64_t fact);

  /// The longest that a post takes to reach its loop; each takes a random part of it.
  common::Duration post_delay_max = std::chrono::microseconds(2);

 private:
  friend class SimLoop;
  struct Entry {
    common::Instant at;
    common::Instant due;     // as asked for: earlier where its loop stood still
    std::uint64_t sequence;  // names the event, in the order of asking
    std::uint32_t slot;
    /// Order of a max-heap whose top is the earliest.
    bool operator<(const Entry& other) const {
      if (at != other.at) return at > other.at;
      return due != other.due ? due > other.due : sequence > other.sequence;
    }
  };
  struct Slot {
    std::uint64_t sequence = 0;  // 0: free
    SimLoop* loop = nullptr;
    Task task;
  };
  void run_entry(const Entry& entry);
  bool drop_stale_top();
  bool put_off(Entry entry);

  common::Random random_;
  common::ManualClock clock_;
  std::vector<std::unique_ptr<SimLoop>> loops_;
  std::vector<Entry> heap_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::uint64_t last_sequence_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t digest_ = 0x9e3779b97f4a7c15;
  bool running_ = false;
  SimLoop* current_ = nullptr;
  std::optional<common::RepliesMayDrop> replies_may_drop_;  // until the event under way has ended
};

}  // namespace millrace::env::testing
