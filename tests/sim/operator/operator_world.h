// OperatorWorld world({.seed = 7}, draw_story(3, random));   const Outcome outcome = world.run();
//
// One run: a cluster of brokers as the operator makes it and looks after it, in simulated time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/sim/chaos.h"
#include "tests/sim/crowd.h"
#include "tests/sim/inspector.h"
#include "tests/sim/operator/kubelet.h"
#include "tests/sim/operator/mishaps.h"
#include "tests/sim/operator/people.h"
#include "tests/sim/operator/rules.h"
#include "tests/sim/operator/story.h"
#include "tests/sim/outcome.h"
#include "tests/sim/seed_name.h"

namespace millrace::sim {

/// Shipping operators over a model of an API server, shipping brokers in its pods, and clients. A
/// cluster is asked for and comes to be; then people edit, operators end, stand still and lose
/// their ways, and machines fail; then all of that ends, what people asked for last must come true
/// within a bounded time, nothing that was acknowledged may be missing, and nobody writes any more.
class OperatorWorld {
 public:
  struct Options {
    std::uint64_t seed = 1;
    bool traced = false;
    /// Writes once, as an operator does, when the cluster is there: for tests of the rules.
    std::function<void(kube::Api&)> rogue = nullptr;
  };
  OperatorWorld(Options options, Story story);
  ~OperatorWorld();

  Outcome run();

 private:
  void make_machines();
  void look();
  bool birth();
  void let_rogue_write();
  bool storm();
  bool settle(common::Duration limit);
  bool quiet();
  std::string unsettled();

  const Options options_;
  const Story story_;
  env::testing::SimWorld sim_;
  Trace trace_;
  Agenda agenda_;
  env::testing::SimNetwork network_;
  History history_;
  GroupHistory groups_;
  Witness witness_;
  common::Instant compared_at_{};
  Fleet fleet_;
  Crowd crowd_;
  Inspector inspector_;
  kube::testing::ModelApi model_;
  Kubelet kubelet_;
  Rules rules_;
  People people_;
  Mishaps mishaps_;
  std::unique_ptr<Chaos> chaos_;
  /// What people lack, as of the server's version.
  std::string lack_;
  std::string lack_of_;
};

/// Whole, from a number.
Outcome run_operator_seed(const SeedName& name, bool traced = false);

}  // namespace millrace::sim
