// Crowd crowd({...}, scenario);   crowd.start();   ...   crowd.settle() && crowd.audit()
//
// All clients of a run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/auditor.h"
#include "tests/sim/fleet.h"
#include "tests/sim/group_history.h"
#include "tests/sim/history.h"
#include "tests/sim/scenario.h"
#include "tests/sim/workload/actor.h"

namespace millrace::sim {

/// Used between the world's events.
class Crowd {
 public:
  struct Parts {
    env::testing::SimWorld& world;
    env::testing::SimNetwork& network;
    Agenda& agenda;
    Trace& trace;
    Fleet& fleet;
    History& history;
    GroupHistory& groups;
  };
  /// `scenario` outlives it.
  Crowd(Parts parts, const Scenario& scenario) : parts_(parts), scenario_(scenario) {}

  /// Of somebody who knows all machines there are.
  Client::Parts new_client(const std::string& name);
  /// Those whom the scenario names begin to work.
  void start();
  /// Everybody ends what he began: first who writes, then who reads. False: not within the time
  /// that is given for it.
  bool settle();
  /// Reads everything back. Requires that nobody writes any more. False: something is wrong.
  bool audit();
  /// The hosts of all so far.
  const std::vector<std::string>& names() const { return names_; }
  /// Before the machines: what they hold is answered no more.
  void clear();

 private:
  enum class Who : std::uint8_t { kWriters, kAll };
  void add(std::unique_ptr<Actor> actor) { actors_.push_back(std::move(actor)); }
  void add_groups();
  void watch(const char* group, std::size_t members);
  std::string unfinished(Who who) const;
  bool settle(Who who);

  const Parts parts_;
  const Scenario& scenario_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<Actor>> actors_;
  std::vector<std::unique_ptr<Auditor>> auditors_;
};

}  // namespace millrace::sim
