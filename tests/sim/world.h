// World world({.seed = 7}, draw_scenario(1, random));   const Outcome outcome = world.run();
//
// One run: brokers, clients and faults in simulated time, from one seed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/auditor.h"
#include "tests/sim/chaos.h"
#include "tests/sim/fleet.h"
#include "tests/sim/group_history.h"
#include "tests/sim/history.h"
#include "tests/sim/log_audit.h"
#include "tests/sim/scenario.h"
#include "tests/sim/witness.h"
#include "tests/sim/workload/actor.h"

namespace millrace::sim {

/// What came of a run.
struct Outcome {
  /// Empty: all is well.
  std::string failure;
  std::uint64_t digest = 0;
  std::uint64_t events = 0;
  common::Duration simulated{0};
  std::uint64_t records_acknowledged = 0;
  std::uint64_t records_read = 0;
  std::uint64_t starts = 0;
  std::uint64_t elections = 0;
  std::uint64_t voter_sets = 0;
};

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
  Client::Parts new_client(const std::string& name);
  void make_machines();
  void look();
  bool birth();
  bool wait_until_serving(common::Duration limit);
  bool make_topics();
  model::ErrorCode try_to_make_topics();
  void make_actors();
  bool storm();
  bool operators_done();
  bool settle();
  bool audit();
  bool become_whole();
  bool audit_logs();
  bool finale();
  enum class Who : std::uint8_t { kWriters, kAll };
  std::string unfinished(Who who) const;

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
  std::unique_ptr<Chaos> birth_chaos_;
  std::unique_ptr<Chaos> chaos_;
  std::unique_ptr<Operator> operator_;
  std::vector<std::string> clients_;
  std::vector<std::unique_ptr<Actor>> actors_;
  std::vector<std::unique_ptr<Client>> helpers_;
  std::vector<std::unique_ptr<Auditor>> auditors_;
  std::vector<std::unique_ptr<LogAudit>> log_audits_;
};

}  // namespace millrace::sim
