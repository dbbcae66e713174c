// Life life(agenda);   if (!life.call_begins()) return;   life.wait(2ms);
//
// A simulated process of an operator: whether it runs. What it asks of others takes time, in which
// everybody else goes on; so whoever calls waits inside the agenda, and may find out afterwards
// that its process is no more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "common/clock.h"
#include "tests/sim/agenda.h"

namespace millrace::sim {

/// Used between the world's events.
class Life {
 public:
  explicit Life(Agenda& agenda) : agenda_(agenda) {}

  /// As by kill -9: nothing that it does from now on leaves it.
  void end() { over_ = true; }
  bool over() const { return over_; }

  /// Where a process ends that ends at a call: before anybody hears of it, or when it was done and
  /// before the answer is there.
  enum class Side : std::uint8_t { kBefore, kAfter };
  /// It ends at its call number `calls` from now.
  void end_at_call(std::uint32_t calls, Side side) {
    calls_left_ = calls;
    side_ = side;
  }
  /// False: the process ends here.
  bool call_begins() {
    if (over_) return false;
    ++calls_;
    last_one_ = calls_left_ && (*calls_left_)-- == 0;
    if (last_one_ && side_ == Side::kBefore) end();
    return !over_;
  }
  /// What was asked for is done. False: the process ends here.
  bool call_is_done() {
    if (last_one_) end();
    return !over_;
  }

  /// It does not run for so long, and does not know (SIGSTOP, SIGCONT).
  void stand_still(common::Duration span) { still_until_ = agenda_.now() + span; }
  bool stands_still() const { return agenda_.now() < still_until_; }

  /// Lets so much time pass, and more if it stands still. False: it has ended meanwhile.
  bool wait(common::Duration span) {
    return wait_until([] { return false; }, span);
  }
  /// The same, until `done` holds. False: it has ended.
  template <typename Done>
  bool wait_until(Done done, common::Duration most) {
    agenda_.run_until([&] { return over_ || done(); }, most);
    while (!over_ && stands_still()) {
      if (!pass(still_until_ - agenda_.now())) return false;
    }
    return !over_;
  }

  std::uint64_t calls() const { return calls_; }

 private:
  /// False: the run is over.
  bool pass(common::Duration span) {
    const common::Instant before = agenda_.now();
    agenda_.run_until([this] { return over_; }, span);
    return over_ || agenda_.now() > before;
  }

  Agenda& agenda_;
  bool over_ = false;
  bool last_one_ = false;
  std::optional<std::uint32_t> calls_left_;
  Side side_ = Side::kBefore;
  common::Instant still_until_{};
  std::uint64_t calls_ = 0;
};

}  // namespace millrace::sim
