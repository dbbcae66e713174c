// trace.say("broker-0", "killed");   trace.fail("an acknowledged record is gone");
//
// What happened in a run, for people, and the first thing that was wrong in it.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "common/clock.h"

namespace millrace::sim {

/// One per run. Lines are printed only where somebody asked to see them.
class Trace {
 public:
  /// `clock` outlives it.
  Trace(const common::Clock& clock, bool printed) : clock_(clock), printed_(printed) {}

  /// `who`: a machine or a client.
  template <typename... Args>
  void say(std::string_view who, fmt::format_string<Args...> format, Args&&... args) {
    if (!printed_) return;
    const std::string text = fmt::format(format, std::forward<Args>(args)...);
    fmt::print("{:12.6f} {:12} {}\n", seconds(), who, text);
    std::fflush(stdout);  // what follows may end the process
  }

  /// Keeps the first one: what follows it may be its consequence.
  void fail(std::string what) {
    say("CHECK", "FAILED: {}", what);
    if (failure_.empty()) failure_ = fmt::format("at {:.6f} s: {}", seconds(), what);
  }
  bool failed() const { return !failure_.empty(); }
  /// Empty: nothing is wrong so far.
  const std::string& failure() const { return failure_; }

 private:
  double seconds() const {
    return static_cast<double>(clock_.now().time_since_epoch().count()) / 1e9;
  }

  const common::Clock& clock_;
  const bool printed_;
  std::string failure_;
};

}  // namespace millrace::sim
