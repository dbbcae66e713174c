#include <nlohmann/json.hpp>

#include "bench/load/basics.h"
#include "bench/load/produce_lane.h"
#include "bench/load/report.h"
#include "bench/load/runs.h"

namespace millrace::bench {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kWait = std::chrono::milliseconds(100);
constexpr std::int64_t kDrainNs =
    60'000'000'000;  // Kafka may take long to answer the last ones under fsync

/// Fills the lanes as answers come, until time or count is up.
class ClosedLoop {
 public:
  explicit ClosedLoop(const Options& options) : options_(options), lanes_(options) {}

  int run() {
    const double cpu_before = own_cpu_s();
    const std::int64_t start = monotonic_ns();
    end_ns_ = start + static_cast<std::int64_t>(options_.seconds * 1e9);
    for (std::size_t i = 0; i < lanes_.size(); ++i) fill(i, start);
    std::int64_t now = start;
    while (!lanes_.all_idle()) {
      const auto ready = lanes_.poller().wait(kWait);
      now = monotonic_ns();
      for (const auto& event : ready) {
        if (event.readable) lanes_.lane(event.tag).read(now, totals_);
        fill(event.tag, now);
      }
      if (now > end_ns_ + kDrainNs) fail("no answers for {} s", kDrainNs / 1'000'000'000);
    }
    const Spent spent{static_cast<double>(now - start) * 1e-9, own_cpu_s() - cpu_before};
    print_line(describe(options_, totals_, spent));
    return totals_.errors == 0 && totals_.answered > 0 ? 0 : kExitFailed;
  }

 private:
  void fill(std::size_t i, std::int64_t now) {
    ProduceLane& lane = lanes_.lane(i);
    do {
      while (lane.has_room() && now < end_ns_ && totals_.issued < options_.requests_max)
        lane.issue(now, totals_);
      lanes_.flush(i, totals_);
      // Without acknowledgements a sent request makes room at once; the socket's buffer is the
      // limit then.
    } while (options_.acks == 0 && lane.has_room() && lane.all_sent() &&
             totals_.issued < options_.requests_max && (now = monotonic_ns()) < end_ns_);
  }

  const Options& options_;
  ProduceLanes lanes_;
  ProduceTotals totals_;
  std::int64_t end_ns_ = 0;
};

}  // namespace

int run_produce(const Options& options) {
  return ClosedLoop(options).run();
}

}  // namespace millrace::bench
