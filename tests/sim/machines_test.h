// class Joining : public MachinesTest { ... };   add().start();   ASSERT_TRUE(all_serve());
//
// For tests of one course of events between whole brokers, told step by step.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/sim/machine.h"

namespace millrace::sim {

class MachinesTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kFirstVoters = 3;
  static constexpr common::Duration kLimit = std::chrono::seconds(60);

  Machine& add(model::ConfigMap config = {}) {
    MachineOptions options;
    options.node = static_cast<std::int32_t>(machines_.size());
    options.first_voters = kFirstVoters;
    options.config = std::move(config);
    return *machines_.emplace_back(std::make_unique<Machine>(
        Machine::Place{sim_, network_, agenda_, trace_}, std::move(options)));
  }
  bool all_serve() {
    return agenda_.run_until(
        [this] {
          return std::ranges::all_of(machines_, [](const auto& machine) {
            return machine->state() == Machine::State::kServing;
          });
        },
        kLimit);
  }
  /// The first shard of the first machine.
  service::Shard& door() { return *machines_.front()->node().shards().front(); }

  env::testing::SimWorld sim_{1};
  Trace trace_{sim_.clock(), false};
  Agenda agenda_{sim_, trace_};
  env::testing::SimNetwork network_{sim_};
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace millrace::sim
