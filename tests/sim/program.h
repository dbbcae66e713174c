// int main(int argc, char** argv) { return run_program({.run = run_seed, ...}, argc, argv); }
//
// A program that runs seeds: its arguments, its processes and what it prints (scripts/sim reads
// it).
#pragma once

#include <string_view>

#include "tests/sim/outcome.h"
#include "tests/sim/seed_name.h"

namespace millrace::sim {

struct Program {
  std::string_view name;
  /// Runs one seed, and prints what happens in it if `traced`.
  Outcome (*run)(const SeedName& name, bool traced);
  /// What to type to see a seed again, without the seed: "scripts/sim".
  std::string_view replay;
  /// --speed; nullptr: there is none.
  int (*speed)(std::uint32_t brokers) = nullptr;
};

/// NAME --seeds N [--from S] [--brokers B]     runs N seeds, one after the other
/// NAME --seed S [--brokers B] [--trace]       runs one, and prints what happens in it
/// NAME --named FILE                           runs the seeds of a file (tests/sim/seeds.txt)
/// NAME --speed [--brokers B]                  measures how fast quiet time passes
///
/// Seeds run in processes of their own: brokers that are killed leave their memory behind, and a
/// failed CHECK ends one seed only. One in sixteen runs twice, to see whether both are the same.
int run_program(const Program& program, int argc, char** argv);

}  // namespace millrace::sim
