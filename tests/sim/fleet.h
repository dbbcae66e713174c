// Fleet fleet;   fleet.add(std::move(machine));   for (Machine* machine : fleet.members()) ...
//
// The machines there are, and which of them belong to the cluster.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "tests/sim/machine.h"

namespace millrace::sim {

/// Machines that belong to the cluster, all of which should serve.
using Members = std::vector<Machine*>;

/// Used between the world's events.
class Fleet {
 public:
  enum class Duty : std::uint8_t { kMember, kSpare };
  void add(std::unique_ptr<Machine> machine, Duty duty) {
    (duty == Duty::kMember ? members_ : spares_).push_back(machine.get());
    all_.push_back(std::move(machine));
  }
  const std::vector<std::unique_ptr<Machine>>& all() const { return all_; }
  const Members& members() const { return members_; }
  const Members& spares() const { return spares_; }
  /// A spare is started, and is to be started again whenever it ends.
  void enlist(Machine& machine) {
    std::erase(spares_, &machine);
    members_.push_back(&machine);
    machine.supervise(true);
    machine.start();
  }
  /// It is no member any more: its process ends, and its disk is exchanged.
  void retire(Machine& machine) {
    machine.supervise(false);
    machine.lose_disk();
    std::erase(members_, &machine);
    spares_.push_back(&machine);
  }
  /// A machine belongs to the cluster from now on, or no more; somebody else looks after its
  /// process.
  void admit(Machine& machine) {
    std::erase(spares_, &machine);
    if (std::ranges::count(members_, &machine) == 0) members_.push_back(&machine);
  }
  void dismiss(Machine& machine) {
    std::erase(members_, &machine);
    if (std::ranges::count(spares_, &machine) == 0) spares_.push_back(&machine);
  }
  void clear() { all_.clear(); }

 private:
  std::vector<std::unique_ptr<Machine>> all_;
  Members members_;
  Members spares_;
};

}  // namespace millrace::sim
