#include "bench/load/report.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace millrace::bench {
namespace {

double rounded(double value, double digits) {
  return std::round(value * digits) / digits;
}

}  // namespace

nlohmann::ordered_json describe(const Histogram& latency_ns) {
  const auto us = [](double ns) { return rounded(ns / 1000, 10); };
  return {{"count", latency_ns.count()},          {"mean", us(latency_ns.mean())},
          {"p50", us(latency_ns.percentile(50))}, {"p90", us(latency_ns.percentile(90))},
          {"p99", us(latency_ns.percentile(99))}, {"p99.9", us(latency_ns.percentile(99.9))},
          {"max", us(latency_ns.max())}};
}

nlohmann::ordered_json describe(const Options& options, const ProduceTotals& totals,
                                const Spent& spent) {
  const auto answered = static_cast<double>(totals.answered);
  const double records = answered * options.batch_records * options.request_partitions;
  const double mb = records * options.record_bytes / 1e6;
  return {{"requests", totals.answered},
          {"errors", totals.errors},
          {"first_error", totals.first_error},
          {"seconds", rounded(spent.seconds, 1e4)},
          {"requests_per_s", rounded(answered / spent.seconds, 10)},
          {"records", static_cast<std::int64_t>(records)},
          {"records_per_s", rounded(records / spent.seconds, 1)},
          {"mb", rounded(mb, 100)},
          {"mb_per_s", rounded(mb / spent.seconds, 100)},
          {"client_cpu_s", rounded(spent.client_cpu_s, 1000)},
          {"latency_us", describe(totals.latency_ns)}};
}

void print_line(const nlohmann::ordered_json& line) {
  fmt::print("{}\n", line.dump());
}

}  // namespace millrace::bench
