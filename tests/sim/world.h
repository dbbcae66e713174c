// World world({.seed = 7}, draw_scenario(1, random));   const Outcome outcome = world.run();
//
// One run: brokers, clients and faults in simulated time, from one seed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/chaos.h"
#include "tests/sim/crowd.h"
#include "tests/sim/inspector.h"
#include "tests/sim/outcome.h"
#include "tests/sim/scenario.h"

namespace millrace::sim {

/// First everything works, then things go wrong for a while, then everything must come right within
/// a bounded time, and be complete.
class World {
 public:
  struct Options {
    std::uint64_t seed = 1;
    bool traced = false;
  };
  World(Options options, Scenario scenario);
  ~World();

  Outcome run();
  /// For the speed report: nobody does anything for so long.
  void run_quietly(common::Duration span);

 private:
  void make_machines();
  void look();
  bool birth();
  bool wait_until_serving(common::Duration limit);
  bool make_topics();
  model::ErrorCode try_to_make_topics();
  bool storm();
  bool operators_done();
  bool settle();
  bool audit();
  bool finale();

  const Scenario scenario_;
  env::testing::SimWorld sim_;
  Trace trace_;
  Agenda agenda_;
  env::testing::SimNetwork network_;
  History history_;
  GroupHistory groups_;
  Witness witness_;
  common::Instant images_compared_at_{};
  Fleet fleet_;
  Crowd crowd_;
  Inspector inspector_;
  std::unique_ptr<Chaos> birth_chaos_;
  std::unique_ptr<Chaos> chaos_;
  std::unique_ptr<Operator> operator_;
  std::vector<std::unique_ptr<Client>> helpers_;
};

}  // namespace millrace::sim
