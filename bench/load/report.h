// The one line that a run prints.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "bench/load/histogram.h"
#include "bench/load/options.h"
#include "bench/load/produce_lane.h"

namespace millrace::bench {

/// Percentiles in microseconds.
nlohmann::ordered_json describe(const Histogram& latency_ns);
/// How long the run took, and what the load generator itself used.
struct Spent {
  double seconds;
  double client_cpu_s;
};
nlohmann::ordered_json describe(const Options& options, const ProduceTotals& totals,
                                const Spent& spent);
void print_line(const nlohmann::ordered_json& line);

}  // namespace millrace::bench
