// sim: whole clusters and their clients, in simulated time. Arguments: tests/sim/program.h;
// scripts/sim builds this and uses all processors.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "tests/sim/program.h"
#include "tests/sim/seeds.h"
#include "tests/sim/world.h"

namespace millrace::sim {
namespace {

int measure_speed(std::uint32_t wanted) {
  const std::uint32_t brokers = wanted == 0 ? 3 : wanted;
  World world({}, quiet_scenario(brokers));
  world.run_quietly(std::chrono::seconds(10));
  constexpr int kSeconds = 10'000;
  const auto begin = std::chrono::steady_clock::now();
  world.run_quietly(std::chrono::seconds(kSeconds));
  const std::chrono::duration<double> real = std::chrono::steady_clock::now() - begin;
  fmt::print("{} brokers at rest: {} simulated seconds in {:.2f} s, {:.0f} times real time\n",
             brokers, kSeconds, real.count(), kSeconds / real.count());
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace millrace::sim

int main(int argc, char** argv) {
  return millrace::sim::run_program({.name = "sim",
                                     .run = millrace::sim::run_seed,
                                     .replay = "scripts/sim",
                                     .speed = millrace::sim::measure_speed},
                                    argc, argv);
}
