// agenda.at(5s, [&] { machine.kill(); });   agenda.run_until(60s);
//
// What is done to the simulated world from outside: between its events, never inside one.
#pragma once

#include <algorithm>
#include <map>
#include <utility>

#include "broker/env/testing/sim_world.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

/// Drives the world.
class Agenda {
 public:
  Agenda(env::testing::SimWorld& world, Trace& trace) : world_(world), trace_(trace) {}

  common::Instant now() const { return world_.clock().now(); }
  /// Does it after so much time, or a little later. In the order of time, then of asking. May be
  /// called from inside an event, and by what it does.
  void after(common::Duration delay, common::Function<void()> what) {
    todo_.emplace(now() + delay, std::move(what));
  }
  /// Lets the world go on until `done` holds; looked at every now and then. False: `limit` passed
  /// and it does not, or something is wrong.
  bool run_until(common::Function<bool()> done, common::Duration limit) {
    const common::Instant end = now() + limit;
    while (!trace_.failed()) {
      if (done()) return true;
      if (now() >= end) return false;
      run_slice(end);
    }
    return false;
  }
  void run_for(common::Duration span) {
    run_until([] { return false; }, span);
  }
  /// Has a look as long as something happens, so often that what is there only for shorter a time
  /// can have reached nobody.
  void watch(common::Function<void()> look) { look_ = std::move(look); }

 private:
  /// The world goes on for so long at a time: what is asked for by events comes as late at the
  /// most.
  static constexpr common::Duration kSlice = std::chrono::milliseconds(20);

  static constexpr common::Duration kLookEvery = std::chrono::microseconds(500);

  /// To the next thing to do, or to look at, if that comes first.
  void pass(common::Instant until) {
    if (look_) {
      const common::Instant look_at = now() + kLookEvery;
      if (world_.run_until([this, look_at] { return now() >= look_at; }, until - now()))
        return look_();
    }
    world_.run_for(until - now());
    if (look_) look_();
  }
  void run_slice(common::Instant end) {
    const common::Instant slice_end = std::min(now() + kSlice, end);
    while (now() < slice_end && (todo_.empty() || todo_.begin()->first > now()))
      pass(todo_.empty() ? slice_end : std::min(slice_end, todo_.begin()->first));
    while (!todo_.empty() && todo_.begin()->first <= now()) {
      auto what = std::move(todo_.begin()->second);
      todo_.erase(todo_.begin());
      what();
    }
  }

  env::testing::SimWorld& world_;
  Trace& trace_;
  common::Function<void()> look_;
  std::multimap<common::Instant, common::Function<void()>> todo_;
};

}  // namespace millrace::sim
