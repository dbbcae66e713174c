#include "bench/load/options.h"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "bench/load/basics.h"

namespace millrace::bench {
namespace {

constexpr double kSecondsMax = 600;
constexpr int kConnectionsMax = 10'000;
constexpr int kInFlightMax = 1024;
constexpr int kBatchBytesMax = 64 << 20;

void add_records(CLI::App& mode, Options& options) {
  mode.add_option("--connections", options.connections)->check(CLI::Range(1, kConnectionsMax));
  mode.add_option("--in-flight", options.in_flight, "unanswered requests per connection")
      ->check(CLI::Range(1, kInFlightMax));
  mode.add_option("--record-bytes", options.record_bytes)->check(CLI::Range(1, kBatchBytesMax));
  mode.add_option("--batch-records", options.batch_records)->check(CLI::Range(1, 1'000'000));
  mode.add_option("--acks", options.acks)->check(CLI::IsMember({-1, 0, 1}));
  mode.add_option("--seconds", options.seconds)->check(CLI::Range(0.01, kSecondsMax));
  mode.add_option("--requests", options.requests_max, "stops after that many")
      ->check(CLI::PositiveNumber);
}

void add_produce(CLI::App& app, Options& options) {
  CLI::App& mode =
      *app.add_subcommand("produce", "closed loop: in-flight requests on every connection");
  add_records(mode, options);
  mode.add_option("--request-partitions", options.request_partitions,
                  "partitions written by one request")
      ->check(CLI::Range(1, 10'000));
  mode.add_flag("--idempotent", options.idempotent, "producer id and sequences");
  mode.add_flag_callback(
      "--in-turn", [&options] { options.spread = Spread::kInTurn; },
      "each request to the next partition, instead of one partition per connection");
  mode.callback([&options] { options.mode = Mode::kProduce; });
}

void add_rate(CLI::App& app, Options& options) {
  CLI::App& mode =
      *app.add_subcommand("rate", "open loop: latency from the intended time of each request");
  add_records(mode, options);
  mode.add_option("--rate", options.rate, "requests per second in all")
      ->check(CLI::Range(0.1, 1e6));
  mode.add_flag("--end-to-end", options.end_to_end,
                "also until a consumer has the record (1 connection, 1 partition)");
  mode.callback([&options] {
    options.mode = Mode::kRate;
    options.in_flight = kInFlightMax;
  });
}

void add_gaps(CLI::App& app, Options& options) {
  CLI::App& mode = *app.add_subcommand(
      "gaps",
      "one small acks=all request after the other to every partition, found again and sent again "
      "whatever happens to its leader: the pauses between acknowledgements");
  mode.add_option("--record-bytes", options.record_bytes)->check(CLI::Range(1, kBatchBytesMax));
  mode.add_option("--rate", options.rate, "requests per second and partition")
      ->check(CLI::Range(0.1, 1e4));
  mode.add_option("--seconds", options.seconds)->check(CLI::Range(0.01, kSecondsMax));
  mode.add_option("--timeout", options.timeout_s, "a partition without one for so long has failed");
  mode.callback([&options] { options.mode = Mode::kGaps; });
}

void add_fetch(CLI::App& app, Options& options) {
  CLI::App& mode =
      *app.add_subcommand("fetch", "reads; connection i reads partition i modulo their number");
  mode.add_option("--connections", options.connections)->check(CLI::Range(1, kConnectionsMax));
  mode.add_option("--bytes", options.bytes_max, "stops after that many, all connections together");
  mode.add_option("--fetch-bytes", options.fetch_bytes, "limit per request")
      ->check(CLI::Range(1, 64 << 20));
  mode.add_option("--last-records", options.last_records,
                  "starts that many before each partition's end");
  mode.add_flag("--again", options.again, "at the end, starts over");
  mode.add_option("--seconds", options.seconds)->check(CLI::Range(0.01, kSecondsMax));
  mode.callback([&options] { options.mode = Mode::kFetch; });
}

void add_members(CLI::App& mode, Options& options) {
  mode.add_option("--broker-pid", options.broker_pid, "process whose CPU time is measured");
  mode.add_option("--timeout", options.timeout_s, "for joins and rebalances");
  mode.add_option("--heartbeat-ms", options.heartbeat_ms)->check(CLI::Range(10, 60'000));
  mode.add_option("--members", options.members, "of each group, each with a connection")
      ->check(CLI::Range(1, kConnectionsMax));
}

void add_groups(CLI::App& app, Options& options) {
  CLI::App& idle = *app.add_subcommand("group-idle", "groups whose members only send heartbeats");
  CLI::App& rebalance = *app.add_subcommand(
      "group-rebalance", "one member leaves and joins again: time until all have partitions");
  for (CLI::App* mode : {&idle, &rebalance}) {
    add_members(*mode, options);
    mode->add_flag("--consumer-protocol", options.consumer_protocol,
                   "KIP-848 instead of the classic protocol");
  }
  idle.add_option("--groups", options.groups)->check(CLI::Range(1, kConnectionsMax));
  idle.add_option("--seconds", options.seconds)->check(CLI::Range(0.01, kSecondsMax));
  idle.callback([&options] { options.mode = Mode::kGroupIdle; });
  rebalance.add_option("--rebalances", options.rebalances)->check(CLI::Range(1, 10'000));
  rebalance.callback([&options] { options.mode = Mode::kGroupRebalance; });
  CLI::App& commits = *app.add_subcommand(
      "commits", "open loop: groups of one member that commit offsets, requests at fixed times");
  add_members(commits, options);
  commits.add_option("--groups", options.groups)->check(CLI::Range(1, kConnectionsMax));
  commits.add_option("--rate", options.rate, "offsets per second in all")
      ->check(CLI::Range(0.1, 1e7));
  commits.add_option("--seconds", options.seconds)->check(CLI::Range(0.01, kSecondsMax));
  commits.add_option("--commit-partitions", options.commit_partitions, "offsets in one request")
      ->check(CLI::Range(1, 10'000));
  commits.callback([&options] { options.mode = Mode::kCommits; });
}

void add_admin(CLI::App& app, Options& options) {
  CLI::App& create =
      *app.add_subcommand("create", "creates the topic and waits until it has leaders");
  create.add_option("--config", options.topic_configs, "name=value, may be repeated");
  create.add_option("--timeout", options.timeout_s);
  create.callback([&options] { options.mode = Mode::kCreate; });
  CLI::App& describe =
      *app.add_subcommand("describe", "who leads each partition, and which replicas are in sync");
  describe.add_option("--timeout", options.timeout_s);
  describe.callback([&options] { options.mode = Mode::kDescribe; });
  CLI::App& remove = *app.add_subcommand("delete", "deletes the topic");
  remove.add_option("--timeout", options.timeout_s);
  remove.callback([&options] { options.mode = Mode::kDelete; });
  CLI::App& first = *app.add_subcommand("first-produce", "tries until one produce is acknowledged");
  first.add_option("--timeout", options.timeout_s);
  first.add_option("--since-ns", options.since_ns,
                   "CLOCK_MONOTONIC at the start of the broker; now without it");
  for (CLI::App* maker : {&create, &first})
    maker->add_option("--replication", options.replication)->check(CLI::Range(1, 9));
  first.add_flag("--existing", options.existing, "the topic is there: do not create it");
  first.callback([&options] { options.mode = Mode::kFirstProduce; });
}

std::vector<Endpoint> parse_endpoints(const std::string& text) {
  std::vector<Endpoint> endpoints;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    endpoints.push_back(parse_endpoint(text.substr(at, comma - at)));
    at = comma + 1;
  }
  return endpoints;
}

}  // namespace

Endpoint parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) fail("'{}' is not HOST:PORT", text);
  std::string host = text.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  const int port = std::atoi(text.c_str() + colon + 1);
  in_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) != 1 || (ntohl(address.s_addr) >> 24) != 127) {
    fail("loopback addresses only, not '{}'", host);
  }
  if (port < 1 || port > 65535) fail("'{}' has no port", text);
  return {host, static_cast<std::uint16_t>(port)};
}

Options parse_options(int argc, char** argv) {
  Options options;
  std::string bootstrap = "127.0.0.1:9092";
  CLI::App app("Load on a Kafka-compatible broker on this machine. Prints one JSON line.",
               "millrace-load");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--bootstrap", bootstrap, "HOST:PORT,..., loopback only");
  app.add_option("--topic", options.topic);
  app.add_option("--partitions", options.partitions)->check(CLI::Range(1, 100'000));
  add_produce(app, options);
  add_rate(app, options);
  add_fetch(app, options);
  add_gaps(app, options);
  add_admin(app, options);
  add_groups(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : kExitUsage);
  }
  options.bootstraps = parse_endpoints(bootstrap);
  options.bootstrap = options.bootstraps.front();
  if (static_cast<std::int64_t>(options.record_bytes) * options.batch_records > kBatchBytesMax) {
    fail("a batch of more than {} MiB", kBatchBytesMax >> 20);
  }
  if (options.end_to_end && (options.connections != 1 || options.partitions != 1)) {
    fail(
        "--end-to-end wants one connection and one partition: offsets tell which record came back");
  }
  if (options.mode == Mode::kCommits && options.commit_partitions > options.partitions)
    fail("more --commit-partitions than --partitions");
  if (options.request_partitions > options.partitions)
    fail("more --request-partitions than --partitions");
  return options;
}

}  // namespace millrace::bench
