// loop.post([&] { ... });   loop.after(50ms, [&] { ... });
//
// The event loop of one shard: everything of the shard runs on it, one task at a time.
#pragma once

#include <cstdint>

#include "common/clock.h"
#include "common/function.h"

namespace millrace::env {

using Task = common::Function<void()>;

/// Names one pending timer of one loop. Never reused within a run. 0: none.
enum class TimerId : std::uint64_t { kNone = 0 };

/// One thread's queue of tasks and timers. In the real world a thread that waits in epoll; in the
/// simulator many loops share one thread and one simulated clock.
class Loop {
 public:
  virtual ~Loop() = default;
  /// Runs the task on the loop, after those posted before it by the same thread. Thread-safe, never
  /// runs it inline. After the loop has stopped the task is destroyed unrun.
  virtual void post(Task task) = 0;
  /// Runs the task once, not before `delay` has passed. Loop thread only.
  virtual TimerId after(common::Duration delay, Task task) = 0;
  /// Forgets a timer; nothing happens if it already ran. Loop thread only.
  virtual void cancel(TimerId timer) = 0;
  /// The clock by which timers run. Thread-safe.
  virtual const common::Clock& clock() const = 0;
  /// Whether the caller is a task of this loop. For CHECKs.
  virtual bool here() const = 0;
};

}  // namespace millrace::env
