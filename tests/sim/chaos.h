// Chaos chaos({...}, plan);   chaos.start();   ...   chaos.end();
//
// What goes wrong in a run, at random.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/fleet.h"

namespace millrace::sim {

enum class Fault : std::uint8_t {
  kKill,
  kStop,
  kPower,
  kPowerAtCall,
  kPowerOfAll,
  kLostDisk,
  kPause,
  kStutter,
  kFullDisk,
  kSlowDisk,
  kDiskErrors,
  kRot,
  kCut,
  kCutOneWay,
  kIsolate,
  kSlowNetwork,
  kResets,
  kWrongClock,
  kCount,
};

/// Faults that are done to a run, which chance chooses among those that may happen in it.
struct ChaosPlan {
  std::vector<Fault> faults;
  /// Mean time between two.
  common::Duration interval = std::chrono::seconds(2);
};

class Chaos {
 public:
  struct Parts {
    env::testing::SimNetwork& network;
    Agenda& agenda;
    Trace& trace;
    common::Random random;
    Fleet& fleet;
    /// Hosts of clients.
    std::vector<std::string> clients;
  };
  Chaos(Parts parts, ChaosPlan plan) : parts_(std::move(parts)), plan_(std::move(plan)) {}

  void start() { next(); }
  /// Everything is well again from now on, and stays so. Machines that are off stay off.
  void end();
  /// The machine is well again.
  static void heal(Machine& machine);

 private:
  void next();
  void strike(Fault fault);
  void stutter(Machine& machine, common::Instant until);
  void rot(Machine& machine);
  void disturb_disk(Fault fault, Machine& machine);
  void disturb_network(Fault fault);
  static void heal_disk(Machine& machine);
  void cut_off(const Machine& machine);
  void heal_network_later();
  Machine& any_machine();
  std::string any_host();
  common::Duration span(common::Duration low, common::Duration high);

  Parts parts_;
  const ChaosPlan plan_;
  /// Whose disk rots: one machine's of a run, so that what is gone there is elsewhere.
  Machine* rotting_ = nullptr;
  bool ended_ = false;
};

}  // namespace millrace::sim
