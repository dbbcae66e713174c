// Groups that only live, and groups that rebalance.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/load/basics.h"
#include "bench/load/group_member.h"
#include "bench/load/report.h"
#include "bench/load/runs.h"

namespace millrace::bench {
namespace {

std::int64_t deadline_of(const Options& options) {
  return monotonic_ns() + static_cast<std::int64_t>(options.timeout_s * 1e9);
}

/// Members [first, first + count) of one group: whether all of them are in at the same generation
/// with all partitions.
bool group_settled(Crowd& crowd, const Options& options, std::size_t first, std::size_t count) {
  int partitions = 0;
  std::int32_t generation = 0;
  for (std::size_t i = first; i < first + count; ++i) {
    const GroupMember& one = crowd.member(i);
    if (one.state() == GroupMember::State::kOut) continue;
    if (one.state() != GroupMember::State::kIn) return false;
    if (generation != 0 && one.generation() != generation) return false;
    generation = one.generation();
    partitions += one.partitions();
  }
  return partitions == options.partitions;
}

/// Runs until every group is settled. Groups that are get no second look within a round: the count
/// says how far it is.
void await_groups(Crowd& crowd, const Options& options) {
  const auto each = static_cast<std::size_t>(options.members);
  const std::int64_t deadline = deadline_of(options);
  for (std::size_t group = 0; group < crowd.size() / each;) {
    if (group_settled(crowd, options, group * each, each)) {
      ++group;
      continue;
    }
    if (monotonic_ns() > deadline)
      fail("group {} of {} has no whole assignment within {} s", group, crowd.size() / each,
           options.timeout_s);
    crowd.step(deadline);
  }
}

void join_all(Crowd& crowd, const Options& options) {
  for (std::size_t i = 0; i < crowd.size(); ++i) crowd.join(i);
  await_groups(crowd, options);
}

/// Milliseconds from the member's step until the whole group is settled at another generation.
class Rebalance {
 public:
  Rebalance(Crowd& crowd, const Options& options)
      : crowd_(crowd), options_(options), start_ns_(monotonic_ns()) {
    generation_ = crowd.member(0).generation();
  }
  std::int64_t await() {
    const std::int64_t deadline = deadline_of(options_);
    while (crowd_.member(0).generation() <= generation_ ||
           !group_settled(crowd_, options_, 0, crowd_.size())) {
      if (monotonic_ns() > deadline)
        fail("no whole assignment within {} s of a change", options_.timeout_s);
      crowd_.step(deadline);
    }
    return monotonic_ns() - start_ns_;
  }

 private:
  Crowd& crowd_;
  const Options& options_;
  std::int64_t start_ns_;
  std::int32_t generation_;
};

}  // namespace

int run_group_idle(const Options& options) {
  await_coordinator(options, group_name(options, 0));
  Crowd crowd(options, options.groups, options.members);
  join_all(crowd, options);
  // One interval for all to come into their rhythm.
  crowd.run_until(monotonic_ns() + static_cast<std::int64_t>(options.heartbeat_ms) * 1'000'000);
  crowd.reset_heartbeats();
  const Meter meter(options.broker_pid);
  crowd.run_until(monotonic_ns() + static_cast<std::int64_t>(options.seconds * 1e9));
  nlohmann::ordered_json line{{"groups", options.groups}, {"members", crowd.size()}};
  meter.put(line);
  line["heartbeats"] = crowd.heartbeats().count();
  line["latency_us"] = describe(crowd.heartbeats());
  await_groups(crowd, options);  // idle means that nobody was thrown out meanwhile
  crowd.leave_all();
  print_line(line);
  const double due =
      options.seconds * 1000 / options.heartbeat_ms * static_cast<double>(crowd.size());
  return static_cast<double>(crowd.heartbeats().count()) >= due * 0.9 ? 0 : kExitFailed;
}

int run_group_rebalance(const Options& options) {
  await_coordinator(options, group_name(options, 0));
  Crowd crowd(options, 1, options.members);
  join_all(crowd, options);
  Histogram left;
  Histogram joined;
  const std::size_t last = crowd.size() - 1;
  const Meter meter(options.broker_pid);
  for (int i = 0; i < options.rebalances; ++i) {
    crowd.run_until(monotonic_ns() + static_cast<std::int64_t>(options.heartbeat_ms) * 1'000'000);
    Rebalance without(crowd, options);
    crowd.leave(last);
    left.add(without.await());
    Rebalance with(crowd, options);
    crowd.join(last);
    joined.add(with.await());
  }
  nlohmann::ordered_json line{{"members", crowd.size()}, {"rebalances", 2 * options.rebalances}};
  meter.put(line);
  line["left_us"] = describe(left);
  line["joined_us"] = describe(joined);
  crowd.leave_all();
  print_line(line);
  return 0;
}

}  // namespace millrace::bench
