// millrace-load: puts load on a Kafka-compatible broker of this machine with requests that are
// encoded before the run, so that it costs little and the broker is what is measured.
// bench/README.md tells of the modes.
#include "bench/load/admin.h"
#include "bench/load/options.h"
#include "bench/load/runs.h"

int main(int argc, char** argv) {
  using namespace millrace::bench;
  const Options options = parse_options(argc, argv);
  switch (options.mode) {
    case Mode::kCreate:
      create_topic(options);
      return 0;
    case Mode::kDelete:
      delete_topic(options);
      return 0;
    case Mode::kProduce:
      return run_produce(options);
    case Mode::kRate:
      return run_rate(options);
    case Mode::kFetch:
      return run_fetch(options);
    case Mode::kFirstProduce:
      return run_first_produce(options);
    case Mode::kGroupIdle:
      return run_group_idle(options);
    case Mode::kGroupRebalance:
      return run_group_rebalance(options);
    case Mode::kCommits:
      return run_commits(options);
    case Mode::kDescribe:
      return run_describe(options);
    case Mode::kGaps:
      return run_gaps(options);
  }
  return 1;
}
