#include "tests/sim/operator/mishaps.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::sim {

using std::chrono::milliseconds;

common::Duration Mishaps::between_ms(std::int64_t low, std::int64_t high) {
  return milliseconds(parts_.random.between(low, high));
}

void Mishaps::start() {
  for (std::int32_t i = 0; i < story_.operators; ++i) {
    seats_.push_back(std::make_unique<Seat>());
    sit_down(*seats_.back());
  }
  watch_over();
}

void Mishaps::sit_down(Seat& seat) {
  const std::string name = fmt::format("operator-{}", processes_.size() + 1);
  processes_.push_back(std::make_unique<OperatorProcess>(
      OperatorProcess::Parts{parts_.model, parts_.agenda, parts_.trace, parts_.random.fork(),
                             parts_.rules, parts_.book, parts_.clock, name},
      story_.settings, seat.faults));
  seat.process = processes_.back().get();
  seat.process->start();
}

/// One that has ended is replaced; and of all there are one leads at most.
void Mishaps::watch_over() {
  const auto leading =
      std::ranges::count_if(processes_, [](const auto& process) { return process->leading(); });
  if (leading > 1) parts_.trace.fail(fmt::format("{} operators lead at once", leading));
  for (const auto& seat : seats_) {
    if (seat->process == nullptr || !seat->process->ended()) continue;
    seat->process = nullptr;
    parts_.agenda.after(between_ms(500, striking_ ? 8'000 : 2'000),
                        [this, &seat = *seat] { sit_down(seat); });
  }
  parts_.agenda.after(milliseconds(50), [this] { watch_over(); });
}

void Mishaps::begin() {
  striking_ = true;
  next();
}

void Mishaps::next() {
  if (story_.mishaps.empty()) return;
  parts_.agenda.after(between_ms(0, 2 * story_.mishap_interval / milliseconds(1)), [this] {
    if (!striking_) return;
    strike(story_.mishaps[parts_.random.below(story_.mishaps.size())]);
    next();
  });
}

void Mishaps::strike(Mishap mishap) {
  if (mishap == Mishap::kForget) {
    parts_.trace.say("mishap", "the server forgets its history");
    return parts_.model.restart(true);
  }
  Seat& seat = *seats_[parts_.random.below(seats_.size())];
  if (seat.process != nullptr && !seat.process->ended()) strike_process(mishap, seat);
}

void Mishaps::strike_process(Mishap mishap, Seat& seat) {
  OperatorProcess& process = *seat.process;
  const auto say = [&](std::string_view what) {
    parts_.trace.say("mishap", "{} {}", process.name(), what);
  };
  switch (mishap) {
    case Mishap::kEnd:
      return process.kill();
    case Mishap::kEndAtCall: {
      const auto calls = static_cast<std::uint32_t>(parts_.random.below(30));
      const auto side = parts_.random.chance(1, 2) ? Life::Side::kBefore : Life::Side::kAfter;
      say(fmt::format("will end {} call {}", side == Life::Side::kBefore ? "before" : "after",
                      calls));
      return process.life().end_at_call(calls, side);
    }
    case Mishap::kStop:
      return process.stop();
    case Mishap::kStandStill: {
      const common::Duration span = between_ms(500, 30'000);
      say(fmt::format("stands still for {} ms", span / milliseconds(1)));
      return process.life().stand_still(span);
    }
    case Mishap::kCutWatches:
      say("has its watches cut");
      return process.break_watches(parts_.random.chance(1, 3));
    case Mishap::kCutFromServer:
      say("does not reach the server");
      seat.faults.kube.cut = true;
      return trouble(seat, between_ms(500, 20'000));
    case Mishap::kCutFromBrokers:
      say("does not reach the brokers");
      seat.faults.admin.cut = true;
      return trouble(seat, between_ms(500, 20'000));
    case Mishap::kFlakyServer:
      say("has a bad way to the server");
      seat.faults.kube = {.refuse = static_cast<int>(parts_.random.below(150)),
                          .lose = static_cast<int>(parts_.random.below(150)),
                          .conflict = static_cast<int>(parts_.random.below(300)),
                          .slow = static_cast<int>(parts_.random.below(100))};
      return trouble(seat, between_ms(2'000, 20'000));
    case Mishap::kFlakyBrokers:
      say("has a bad way to the brokers");
      seat.faults.admin = {.lose = static_cast<int>(parts_.random.below(200)),
                           .slow = static_cast<int>(parts_.random.below(200))};
      return trouble(seat, between_ms(2'000, 20'000));
    case Mishap::kForget:
    case Mishap::kCount:
      break;
  }
}

void Mishaps::trouble(Seat& seat, common::Duration span) {
  parts_.agenda.after(span, [&seat, number = ++seat.troubles] {
    if (number == seat.troubles) seat.faults = {};
  });
}

void Mishaps::end() {
  striking_ = false;
  for (const auto& seat : seats_) {
    ++seat->troubles;
    seat->faults = {};
  }
}

void Mishaps::restart_all() {
  for (const auto& seat : seats_)
    if (seat->process != nullptr) seat->process->kill();
}

bool Mishaps::anybody_leads() const {
  return std::ranges::any_of(processes_, [](const auto& process) { return process->leading(); });
}

std::uint64_t Mishaps::looks() const {
  std::uint64_t looks = 0;
  for (const auto& process : processes_) looks += process->looks();
  return looks;
}

}  // namespace millrace::sim
