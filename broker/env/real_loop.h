// RealLoop loop({.name = "shard-0", .cpu = 0});   loop.start();   loop.post(...);   ...
// loop.stop();
//
// A thread that waits in epoll for sockets, timers, finished disk calls and posts of other threads.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/env/loop.h"
#include "broker/env/timer_queue.h"

namespace millrace::env {

/// Told by its loop when its file descriptor is ready.
class Watcher {
 public:
  /// On the loop. `events` are epoll's.
  virtual void on_ready(std::uint32_t events) = 0;

 protected:
  ~Watcher() = default;
};

struct RealLoopOptions {
  std::string name = "loop";  // of the thread; 15 characters are shown
  int cpu = -1;               // to pin to; -1: anywhere
};

/// The machine's Loop. A round runs what was posted, then due timers, then ready descriptors, so
/// that none of the three starves another. Posts of other threads cost a lock, and one eventfd
/// write if the loop sleeps.
class RealLoop final : public Loop {
 public:
  explicit RealLoop(RealLoopOptions options = {});
  /// Stops.
  ~RealLoop() override;
  RealLoop(const RealLoop&) = delete;
  RealLoop& operator=(const RealLoop&) = delete;

  /// Starts the thread. Posts made before are run by it.
  void start();
  /// Ends the thread after its current task and waits for it, then destroys what is queued (whose
  /// replies are dropped). From another thread; idempotent.
  void stop();

  void post(Task task) override;
  TimerId after(common::Duration delay, Task task) override;
  void cancel(TimerId timer) override;
  const common::Clock& clock() const override { return clock_; }
  bool here() const override;
  /// True once stop() has ended the thread: what is left may be taken apart by any one thread.
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }

  /// Tells the watcher of each change of readiness (edge-triggered). The descriptor stays its
  /// owner's. Loop thread, or before start().
  void watch(int descriptor, std::uint32_t events, Watcher& watcher);
  /// The watcher hears nothing more, not even what is already known. Before the descriptor is
  /// closed.
  void unwatch(int descriptor, Watcher& watcher);
  /// Calls the watcher in the next round, with no events, unless it is unwatched before. Loop
  /// thread, or before start().
  void nudge(Watcher& watcher);

 private:
  void run();
  void run_posted();
  void run_timers();
  void run_nudged();
  void wait_for_events();
  /// How long epoll may wait: 0 when there is work, -1 when only events can bring some.
  int wait_ms();
  /// Moves what other threads posted behind what this one did. False, and asleep, if there is
  /// nothing.
  bool collect_or_sleep(bool may_sleep);
  void wake();
  void destroy_queued();

  const RealLoopOptions options_;
  const common::SystemClock clock_;
  int epoll_ = -1;
  int wake_ = -1;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> stopped_{false};

  // Loop thread only.
  std::vector<Task> posted_;
  std::vector<Task> running_;
  TimerQueue timers_;
  std::vector<Watcher*> nudged_;
  std::vector<Watcher*> nudging_;
  std::array<epoll_event, 256> ready_;
  int ready_count_ = 0;
  int ready_next_ = 0;

  std::mutex mutex_;  // guards the two below
  std::vector<Task> posted_from_outside_;
  bool asleep_ = false;
};

}  // namespace millrace::env
