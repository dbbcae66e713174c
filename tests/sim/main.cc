// sim --seeds N [--from S] [--brokers B]      runs N seeds, one after the other
// sim --seed S [--brokers B] [--trace]        runs one, and prints what happens in it
// sim --named FILE                            runs the seeds of a file (tests/sim/seeds.txt)
// sim --speed [--brokers B]                   measures how fast quiet time passes
//
// scripts/sim builds this and uses all processors.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/seeds.h"

namespace millrace::sim {
namespace {

/// One seed in so many is run twice: both runs must be the same.
constexpr std::uint64_t kTwiceOneIn = 16;

struct Arguments {
  std::uint64_t from = 1;
  std::uint64_t seeds = 100;
  std::uint32_t brokers = 0;
  std::string named;
  bool one = false;
  bool traced = false;
  bool speed = false;
};

int run_one(const Arguments& arguments) {
  const Outcome outcome = run_seed({arguments.from, arguments.brokers}, arguments.traced);
  fmt::print(
      "{}\n{} records acknowledged, {} read, {} starts, {} elections, {} voter sets, {:.0f} "
      "simulated seconds, {} events, digest {:016x}\n",
      outcome.failure.empty() ? "all is well" : "FAILED " + outcome.failure,
      outcome.records_acknowledged, outcome.records_read, outcome.starts, outcome.elections,
      outcome.voter_sets, static_cast<double>(outcome.simulated.count()) / 1e9, outcome.events,
      outcome.digest);
  return outcome.failure.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
}

/// Of this process and those it has waited for.
double cpu_seconds() {
  double seconds = 0;
  for (const auto whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(whose, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime})
      seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  }
  return seconds;
}

int run_all(const std::vector<SeedName>& names) {
  std::uint64_t failed = 0;
  Report sum;
  const auto begin = std::chrono::steady_clock::now();
  for (const SeedName& name : names) {
    const Report report = run_apart(name, name.seed % kTwiceOneIn == 0);
    if (report.failed) ++failed;
    sum.records += report.records;
    sum.starts += report.starts;
    sum.elections += report.elections;
    sum.voter_sets += report.voter_sets;
    sum.simulated_seconds += report.simulated_seconds;
  }
  const std::chrono::duration<double> real = std::chrono::steady_clock::now() - begin;
  fmt::print(
      "{} records acknowledged, {} starts, {} elections, {} voter sets, {:.0f} simulated "
      "seconds in {:.1f} s, {:.2f} s of CPU\n",
      sum.records, sum.starts, sum.elections, sum.voter_sets, sum.simulated_seconds, real.count(),
      cpu_seconds());
  fmt::print("{} passed, {} failed, 0 skipped\n", names.size() - failed, failed);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run_range(const Arguments& arguments) {
  std::vector<SeedName> names;
  for (std::uint64_t seed = arguments.from; seed < arguments.from + arguments.seeds; ++seed)
    names.push_back({seed, arguments.brokers});
  return run_all(names);
}

int measure_speed(const Arguments& arguments) {
  const std::uint32_t brokers = arguments.brokers == 0 ? 3 : arguments.brokers;
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

/// A run's memory is given back when its process ends, and not before: a fifth of the time.
void keep_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, -1);
  ::mallopt(M_TOP_PAD, 64 << 20);
}

int run(int argc, char** argv) {
  keep_memory();
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto text = [&] { return i + 1 < argc ? argv[++i] : ""; };
    const auto number = [&] { return std::strtoull(text(), nullptr, 10); };
    if (name == "--seeds") {
      arguments.seeds = number();
    } else if (name == "--from") {
      arguments.from = number();
    } else if (name == "--seed") {
      arguments.from = number();
      arguments.one = true;
    } else if (name == "--brokers") {
      arguments.brokers = static_cast<std::uint32_t>(number());
    } else if (name == "--named") {
      arguments.named = text();
    } else if (name == "--trace") {
      arguments.traced = true;
    } else if (name == "--speed") {
      arguments.speed = true;
    } else {
      fmt::print(stderr, "sim: unknown argument {}; see the top of tests/sim/main.cc\n", name);
      return 64;  // EX_USAGE
    }
  }
  if (arguments.speed) return measure_speed(arguments);
  if (!arguments.named.empty()) return run_all(read_seeds(arguments.named));
  return arguments.one ? run_one(arguments) : run_range(arguments);
}

}  // namespace
}  // namespace millrace::sim

int main(int argc, char** argv) {
  return millrace::sim::run(argc, argv);
}
