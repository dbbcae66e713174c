#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/load/admin.h"
#include "bench/load/basics.h"
#include "bench/load/report.h"
#include "bench/load/runs.h"

namespace millrace::bench {
namespace {

bool whole(const PartitionState& partition) {
  return partition.leader >= 0 && partition.in_sync.size() == partition.replicas.size();
}

/// Of ten thousand partitions nobody wants a line each: counts, and who leads which.
nlohmann::ordered_json describe_topic(const TopicState& state) {
  std::map<std::string, int> led;
  std::vector<int> leaders;
  for (const PartitionState& partition : state.partitions) {
    if (partition.leader >= 0) ++led[std::to_string(partition.leader)];
    leaders.push_back(partition.leader);
  }
  std::map<std::string, std::string> brokers;
  for (const auto& [id, endpoint] : state.brokers)
    brokers[std::to_string(id)] = fmt::format("{}:{}", endpoint.host, endpoint.port);
  const auto count = [&](const auto& condition) {
    return std::count_if(state.partitions.begin(), state.partitions.end(), condition);
  };
  return {{"brokers", brokers},
          {"controller", state.controller},
          {"led", led},
          {"leaderless", count([](const auto& one) { return one.leader < 0; })},
          {"not_whole", count([](const auto& one) { return !whole(one); })},
          {"leaders", leaders}};
}

}  // namespace

int run_describe(const Options& options) {
  const auto timeout = std::chrono::milliseconds(static_cast<int>(options.timeout_s * 1000));
  for (const Endpoint& broker : options.bootstraps) {
    Session session(broker, timeout);
    const auto state = session.open() ? ask_topic(session, options) : std::nullopt;
    if (!state || state->error != 0) continue;
    print_line(describe_topic(*state));
    return 0;
  }
  fail("no broker knows '{}'", options.topic);
}

}  // namespace millrace::bench
