#include "tests/sim/seeds.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace millrace::sim {
namespace {

/// What happens and what it happens to are drawn apart, so that a change of one of them keeps the
/// other.
common::Random scenario_random(std::uint64_t seed) {
  return common::Random(seed * 0x9e3779b97f4a7c15);
}

/// Most clusters are of three: what goes wrong there costs the least to simulate.
std::uint32_t draw_brokers(common::Random& random) {
  const std::uint64_t drawn = random.below(10);
  return drawn < 2 ? 1 : drawn < 9 ? 3 : 5;
}

std::string replay_command(const SeedName& name) {
  const std::string brokers = name.brokers == 0 ? "" : fmt::format(" --brokers {}", name.brokers);
  return fmt::format("scripts/sim --seed {}{} --trace", name.seed, brokers);
}

void print_failure(const SeedName& name, const std::string& failure) {
  fmt::print("FAILED seed {} {}\n  replay: {}\n", name.seed, failure, replay_command(name));
  std::fflush(stdout);
}

Report run_here(const SeedName& name, bool twice) {
  Outcome outcome = run_seed(name);
  if (outcome.failure.empty() && twice && run_seed(name).digest != outcome.digest)
    outcome.failure = "two runs of one seed differ";
  if (!outcome.failure.empty()) print_failure(name, outcome.failure);
  return {.failed = !outcome.failure.empty(),
          .digest = outcome.digest,
          .records = outcome.records_acknowledged,
          .starts = outcome.starts,
          .elections = outcome.elections,
          .voter_sets = outcome.voter_sets,
          .simulated_seconds = static_cast<double>(outcome.simulated.count()) / 1e9};
}

}  // namespace

Outcome run_seed(const SeedName& name, bool traced) {
  common::Random random = scenario_random(name.seed);
  const std::uint32_t drawn = draw_brokers(random);
  World world({.seed = name.seed, .traced = traced},
              draw_scenario(name.brokers == 0 ? drawn : name.brokers, random));
  return world.run();
}

Report run_apart(const SeedName& name, bool twice) {
  std::fflush(stdout);
  int ends[2];
  CHECK(::pipe(ends) == 0);
  const pid_t child = ::fork();
  CHECK(child >= 0, "no more processes");
  Report report;
  if (child == 0) {
    report = run_here(name, twice);
    static_cast<void>(!::write(ends[1], &report, sizeof(report)));
    ::_exit(0);
  }
  ::close(ends[1]);
  const bool told = ::read(ends[0], &report, sizeof(report)) == sizeof(report);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!told) {
    report = Report{};
    print_failure(name, fmt::format("its process ended by signal {}", WTERMSIG(status)));
  }
  return report;
}

std::vector<SeedName> read_seeds(const std::string& path) {
  std::ifstream file(path);
  CHECK(file.good(), "cannot read {}", path);
  std::vector<SeedName> names;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    SeedName name;
    std::string what;
    std::istringstream words(line);
    words >> name.brokers >> name.seed >> what;
    CHECK(!what.empty(), "{}: \"{}\" is not \"BROKERS SEED what it found\"", path, line);
    names.push_back(name);
  }
  return names;
}

}  // namespace millrace::sim
