// sim_operator: clusters as the operator looks after them, in simulated time. Arguments:
// tests/sim/program.h; scripts/sim --operator builds this and uses all processors.
#include "tests/sim/operator/operator_world.h"
#include "tests/sim/program.h"

int main(int argc, char** argv) {
  return millrace::sim::run_program({.name = "sim_operator",
                                     .run = millrace::sim::run_operator_seed,
                                     .replay = "scripts/sim --operator"},
                                    argc, argv);
}
