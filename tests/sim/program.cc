#include "tests/sim/program.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/check.h"

namespace millrace::sim {
namespace {

/// One seed in so many is run twice: both runs must be the same.
constexpr std::uint64_t kTwiceOneIn = 16;

/// What of a run gets from one process to another.
struct Report {
  bool failed = true;
  std::uint64_t records = 0;
  std::uint64_t starts = 0;
  std::uint64_t elections = 0;
  std::uint64_t voter_sets = 0;
  double simulated_seconds = 0;
};

struct Arguments {
  SeedName first;
  std::uint64_t seeds = 100;
  std::string named;
  bool one = false;
  bool traced = false;
  bool speed = false;
};

void print_failure(const Program& program, const SeedName& name, const std::string& failure) {
  const std::string brokers = name.brokers == 0 ? "" : fmt::format(" --brokers {}", name.brokers);
  fmt::print("FAILED seed {} {}\n  replay: {} --seed {}{} --trace\n", name.seed, failure,
             program.replay, name.seed, brokers);
  std::fflush(stdout);
}

Report run_here(const Program& program, const SeedName& name) {
  Outcome outcome = program.run(name, false);
  const bool twice = name.seed % kTwiceOneIn == 0;
  if (outcome.failure.empty() && twice && program.run(name, false).digest != outcome.digest)
    outcome.failure = "two runs of one seed differ";
  if (!outcome.failure.empty()) print_failure(program, name, outcome.failure);
  return {.failed = !outcome.failure.empty(),
          .records = outcome.records_acknowledged,
          .starts = outcome.starts,
          .elections = outcome.elections,
          .voter_sets = outcome.voter_sets,
          .simulated_seconds = static_cast<double>(outcome.simulated.count()) / 1e9};
}

/// The same in a process of its own.
Report run_apart(const Program& program, const SeedName& name) {
  std::fflush(stdout);
  int ends[2];
  CHECK(::pipe(ends) == 0);
  const pid_t child = ::fork();
  CHECK(child >= 0, "no more processes");
  Report report;
  if (child == 0) {
    report = run_here(program, name);
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
    print_failure(program, name, fmt::format("its process ended by signal {}", WTERMSIG(status)));
  }
  return report;
}

/// One line of a file of seeds that found something: "BROKERS SEED what it found"; "#" begins a
/// comment. Ends the process where the file is not like that.
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

int run_one(const Program& program, const Arguments& arguments) {
  const Outcome outcome = program.run(arguments.first, arguments.traced);
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

int run_all(const Program& program, const std::vector<SeedName>& names) {
  std::uint64_t failed = 0;
  Report sum;
  const auto begin = std::chrono::steady_clock::now();
  for (const SeedName& name : names) {
    const Report report = run_apart(program, name);
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

int run_range(const Program& program, const Arguments& arguments) {
  std::vector<SeedName> names;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i)
    names.push_back({arguments.first.seed + i, arguments.first.brokers});
  return run_all(program, names);
}

/// A run's memory is given back when its process ends, and not before: a fifth of the time.
void keep_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, -1);
  ::mallopt(M_TOP_PAD, 64 << 20);
}

/// False: an argument is not known.
bool read_arguments(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto text = [&] { return i + 1 < argc ? argv[++i] : ""; };
    const auto number = [&] { return std::strtoull(text(), nullptr, 10); };
    if (name == "--seeds") {
      arguments.seeds = number();
    } else if (name == "--from") {
      arguments.first.seed = number();
    } else if (name == "--seed") {
      arguments.first.seed = number();
      arguments.one = true;
    } else if (name == "--brokers") {
      arguments.first.brokers = static_cast<std::uint32_t>(number());
    } else if (name == "--named") {
      arguments.named = text();
    } else if (name == "--trace") {
      arguments.traced = true;
    } else if (name == "--speed") {
      arguments.speed = true;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int run_program(const Program& program, int argc, char** argv) {
  keep_memory();
  Arguments arguments;
  if (!read_arguments(argc, argv, arguments) || (arguments.speed && program.speed == nullptr)) {
    fmt::print(stderr, "{}: unknown argument; see tests/sim/program.h\n", program.name);
    return 64;  // EX_USAGE
  }
  if (arguments.speed) return program.speed(arguments.first.brokers);
  if (!arguments.named.empty()) return run_all(program, read_seeds(arguments.named));
  return arguments.one ? run_one(program, arguments) : run_range(program, arguments);
}

}  // namespace millrace::sim
