#include "tests/sim/chaos.h"

#include <utility>

#include "tests/sim/wholeness.h"

namespace millrace::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::uint64_t kRoomyDisk = std::uint64_t{1} << 40;
constexpr std::uint64_t kLittleRoomMax = 256 << 10;
/// A broker does not take records of more than an hour ahead of its clock.
constexpr std::int64_t kClockErrorMsMax = 50 * 60 * 1000;

}  // namespace

common::Duration Chaos::span(common::Duration low, common::Duration high) {
  return common::Duration{parts_.random.between(low.count(), high.count())};
}

Machine& Chaos::any_machine() {
  const Members& members = parts_.fleet.members();
  return *members[parts_.random.below(members.size())];
}

std::string Chaos::any_host() {
  if (parts_.clients.empty() || parts_.random.chance(1, 2)) return any_machine().name();
  return parts_.clients[parts_.random.below(parts_.clients.size())];
}

void Chaos::next() {
  if (plan_.faults.empty()) return;
  parts_.agenda.after(span(common::Duration{0}, plan_.interval * 2), [this] {
    if (ended_) return;
    // All are away for a moment.
    if (!parts_.fleet.members().empty())
      strike(plan_.faults[parts_.random.below(plan_.faults.size())]);
    next();
  });
}

void Chaos::strike(Fault fault) {
  Machine& machine = any_machine();
  switch (fault) {
    case Fault::kKill:
      return machine.kill();
    case Fault::kStop:
      return machine.stop();
    case Fault::kPower:
      return machine.lose_power(parts_.random.chance(1, 2) ? Machine::Told::kYes
                                                           : Machine::Told::kNo);
    case Fault::kPowerAtCall:
      return machine.lose_power_after(parts_.random.below(60));
    case Fault::kPowerOfAll:
      for (Machine* one : parts_.fleet.members()) one->lose_power(Machine::Told::kYes);
      return;
    case Fault::kLostDisk:
      if (can_lose_disk(parts_.fleet.members(), machine)) machine.lose_disk();
      return;
    case Fault::kPause:
      return machine.pause(span(milliseconds(50), seconds(6)));
    case Fault::kStutter:
      parts_.trace.say(machine.name(), "has a busy processor");
      return stutter(machine, parts_.agenda.now() + span(seconds(1), seconds(8)));
    case Fault::kRot:
      return rot(machine);
    case Fault::kWrongClock:
      return machine.set_wall_skew(parts_.random.between(-kClockErrorMsMax, kClockErrorMsMax));
    case Fault::kFullDisk:
    case Fault::kSlowDisk:
    case Fault::kDiskErrors:
      return disturb_disk(fault, machine);
    case Fault::kCut:
    case Fault::kCutOneWay:
    case Fault::kIsolate:
    case Fault::kSlowNetwork:
    case Fault::kResets:
      return disturb_network(fault);
    case Fault::kCount:
      break;
  }
}

// Its threads run now and then, each by itself: between two steps of one of them the others, and
// everybody else, may do a lot.
void Chaos::stutter(Machine& machine, common::Instant until) {
  if (ended_ || parts_.agenda.now() >= until) return;
  machine.pause_one_thread(
      span(milliseconds(1), milliseconds(parts_.random.chance(1, 5) ? 500 : 50)));
  parts_.agenda.after(span(milliseconds(1), milliseconds(60)),
                      [this, &machine, until] { stutter(machine, until); });
}

void Chaos::rot(Machine& machine) {
  if (rotting_ == nullptr) rotting_ = &machine;
  rotting_->rot();
}

void Chaos::disturb_disk(Fault fault, Machine& machine) {
  env::testing::SimDisk& disk = machine.disk();
  if (fault == Fault::kFullDisk) {
    const std::uint64_t room = parts_.random.below(kLittleRoomMax);
    parts_.trace.say(machine.name(), "has a disk with {} bytes left", room);
    disk.set_capacity(disk.used() + room);
  } else if (fault == Fault::kSlowDisk) {
    const common::Duration extra = span(milliseconds(1), milliseconds(200));
    parts_.trace.say(machine.name(), "has a slow disk: {} ms more",
                     extra / std::chrono::milliseconds(1));
    disk.slow_down(extra);
  } else {
    parts_.trace.say(machine.name(), "has a disk that fails now and then");
    disk.faults() = {.read = static_cast<std::uint32_t>(parts_.random.below(20'000)),
                     .write = static_cast<std::uint32_t>(parts_.random.below(20'000)),
                     .sync = static_cast<std::uint32_t>(parts_.random.below(20'000))};
  }
  // Who cannot start on such a disk is not to blame, nor who hears of it a little later.
  const bool hurts = fault != Fault::kSlowDisk;
  if (hurts) machine.excuse(1);
  parts_.agenda.after(span(milliseconds(200), seconds(4)), [this, &machine, hurts] {
    parts_.trace.say(machine.name(), "has a good disk again");
    heal_disk(machine);
    if (hurts) parts_.agenda.after(seconds(1), [&machine] { machine.excuse(-1); });
  });
}

void Chaos::heal_disk(Machine& machine) {
  machine.disk().set_capacity(kRoomyDisk);
  machine.disk().slow_down(common::Duration{0});
  machine.disk().faults() = {};
}

void Chaos::disturb_network(Fault fault) {
  env::testing::SimNetwork& network = parts_.network;
  if (fault == Fault::kResets) {
    parts_.trace.say("network", "breaks some connections");
    return network.reset_some(parts_.random.between(1, 3));
  }
  if (fault == Fault::kIsolate) return cut_off(any_machine());
  const std::string from = any_host();
  const std::string to = any_host();
  if (fault == Fault::kCut) {
    parts_.trace.say("network", "nothing passes between {} and {}", from, to);
    network.partition(from, to);
  } else if (fault == Fault::kCutOneWay) {
    parts_.trace.say("network", "nothing passes from {} to {}", from, to);
    network.cut(from, to);
  } else {
    const common::Duration extra = span(milliseconds(1), milliseconds(800));
    parts_.trace.say("network", "from {} to {} takes {} ms more", from, to,
                     extra / std::chrono::milliseconds(1));
    network.slow_down(from, to, extra);
  }
  heal_network_later();
}

// From the other brokers, not from clients: they go on asking it.
void Chaos::cut_off(const Machine& machine) {
  parts_.trace.say("network", "{} is cut off from the other brokers", machine.name());
  for (const auto& other : parts_.fleet.all())
    if (other.get() != &machine) parts_.network.partition(machine.name(), other->name());
  heal_network_later();
}

void Chaos::heal_network_later() {
  parts_.agenda.after(span(milliseconds(200), seconds(8)), [this] {
    parts_.trace.say("network", "is whole again");
    parts_.network.heal_all();
  });
}

void Chaos::end() {
  ended_ = true;
  parts_.network.heal_all();
  for (Machine* machine : parts_.fleet.members()) heal(*machine);
}

void Chaos::heal(Machine& machine) {
  heal_disk(machine);
  machine.disk().cut_power_after(UINT64_MAX);
  machine.set_wall_skew(0);
}

}  // namespace millrace::sim
