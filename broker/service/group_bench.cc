// service_group_bench COMMITS GROUPS PARTITIONS: what commits cost below the doors, and how long a
// start takes after so many of them. On a simulated disk: CPU seconds count, time does not.
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "broker/service/group_coordinators.h"
#include "broker/service/testing/group_clients.h"
#include "common/testing/cpu_time.h"

namespace millrace::service {
namespace {

using common::testing::cpu_seconds;
using testing::GroupClients;
using testing::Node;

constexpr std::uint32_t kShards = 2;
constexpr std::int64_t kInFlight = 64;

struct Load {
  std::int64_t commits = 1'000'000;
  std::int64_t groups = 100;
  std::int32_t partitions = 10;
};

/// Commits in turn to every partition of every group, one partition a request.
void commit_all(Node& node, const Load& load) {
  std::int64_t sent = 0;
  std::int64_t answered = 0;
  while (answered < load.commits) {
    while (sent < load.commits && sent - answered < kInFlight) {
      const std::int64_t place = sent / load.partitions % load.groups;
      auto request =
          GroupClients::simple_commit(fmt::format("group-{}", place), "orders",
                                      static_cast<std::int32_t>(sent % load.partitions), sent);
      commit_offsets(node.shard(static_cast<std::size_t>(place) % kShards), std::move(request),
                     [&answered](const coordinator::OffsetCommitOutcome& outcome) {
                       CHECK(outcome.status.ok(), "{}", outcome.status.detail);
                       ++answered;
                     });
      ++sent;
    }
    node.world.step();
  }
}

bool all_loaded(Node& node) {
  for (std::uint32_t i = 0; i < kShards; ++i) {
    for (const auto& [index, coordinator] : node.shard(i).coordinators().all()) {
      if (coordinator->loading()) return false;
    }
  }
  return true;
}

int run(const Load& load) {
  Node node({.shards = kShards, .config = {}});
  GroupClients clients(node);
  node.start();
  node.create_topic("orders", load.partitions);
  CHECK(clients.find("group-0").ok());
  double begun = cpu_seconds();
  commit_all(node, load);
  fmt::print("commits={} cpu_us_per_commit={:.2f}\n", load.commits,
             (cpu_seconds() - begun) * 1e6 / static_cast<double>(load.commits));
  GroupCounters counters;
  for (std::uint32_t i = 0; i < kShards; ++i) {
    counters.appends += node.shard(i).coordinators().counters().appends;
    counters.rewrites += node.shard(i).coordinators().counters().rewrites;
  }
  fmt::print("appends={} rewrites={}\n", counters.appends, counters.rewrites);
  for (const bool clean : {false, true}) {
    if (clean) {
      node.stop();
    } else {
      node.crash();
    }
    begun = cpu_seconds();
    node.start();
    const double started = cpu_seconds();
    CHECK(node.world.run_until([&] { return all_loaded(node); }));
    fmt::print("start after {}: cpu_s={:.3f} groups_cpu_s={:.3f}\n", clean ? "stop" : "crash",
               started - begun, cpu_seconds() - started);
  }
  begun = cpu_seconds();
  const auto lags = node.wait<std::vector<GroupLagSummary>>(
      [&](auto reply) { group_lags(node.shard(), std::move(reply)); });
  fmt::print("lag of {} groups: cpu_ms={:.1f}\n", lags.size(), (cpu_seconds() - begun) * 1e3);
  return 0;
}

}  // namespace
}  // namespace millrace::service

int main(int argc, char** argv) {
  millrace::service::Load load;
  if (argc > 1) load.commits = std::atoll(argv[1]);
  if (argc > 2) load.groups = std::atoll(argv[2]);
  if (argc > 3) load.partitions = std::atoi(argv[3]);
  return millrace::service::run(load);
}
