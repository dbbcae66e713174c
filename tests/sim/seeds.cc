#include "tests/sim/seeds.h"

#include "tests/sim/world.h"

namespace millrace::sim {
namespace {

/// Most clusters are of three: what goes wrong there costs the least to simulate.
std::uint32_t draw_brokers(common::Random& random) {
  const std::uint64_t drawn = random.below(10);
  return drawn < 2 ? 1 : drawn < 9 ? 3 : 5;
}

}  // namespace

Outcome run_seed(const SeedName& name, bool traced) {
  common::Random random = scenario_random(name.seed);
  const std::uint32_t drawn = draw_brokers(random);
  World world({.seed = name.seed, .traced = traced},
              draw_scenario(name.brokers == 0 ? drawn : name.brokers, random));
  return world.run();
}

}  // namespace millrace::sim
