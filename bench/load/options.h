// The command line of millrace-load.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::bench {

/// An IPv4 loopback address. The program refuses all others: it is no tool to point at strangers'
/// machines.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// "127.0.0.1:9092" or "localhost:9092". Ends the program on anything outside 127.0.0.0/8.
Endpoint parse_endpoint(const std::string& text);

enum class Mode {
  kCreate,
  kDelete,
  kProduce,
  kRate,
  kFetch,
  kFirstProduce,
  kGroupIdle,
  kGroupRebalance,
  kCommits,
  kDescribe,
  kGaps
};

/// How the requests of a connection are spread over partitions.
enum class Spread {
  kFixed,   // connection i writes partition i modulo the number of partitions
  kInTurn,  // each request goes to the next partition that the connection's broker leads
};

/// Every setting of every mode; a mode reads the ones its help names.
struct Options {
  Mode mode = Mode::kProduce;
  Endpoint bootstrap;                // the first of:
  std::vector<Endpoint> bootstraps;  // brokers of the cluster
  std::string topic = "load";
  int partitions = 1;
  std::vector<std::string> topic_configs;  // "name=value", create only
  int replication = 1;                     // create only

  int connections = 1;
  int in_flight = 1;           // requests on one connection that have no answer yet
  int record_bytes = 100;      // value size; records have no key
  int batch_records = 1;       // records in a batch
  int request_partitions = 1;  // batches (of as many partitions) in one request
  int acks = -1;
  bool idempotent = false;
  Spread spread = Spread::kFixed;

  double seconds = 10;                    // stops issuing after that long
  std::int64_t requests_max = INT64_MAX;  // and after that many requests
  double rate = 500;                      // open loop, gaps: requests per second
  bool end_to_end = false;                // open loop: also time until a consumer has the record

  std::int64_t bytes_max = INT64_MAX;  // fetch: stops after that many
  int fetch_bytes = 1 << 20;           // fetch: limit per request
  std::int64_t last_records =
      -1;              // fetch: starts that many records before the end; -1: at offset 0
  bool again = false;  // fetch: starts over at the end, until bytes_max

  double timeout_s = 60;      // create, delete, first-produce: gives up after that long
  std::int64_t since_ns = 0;  // first-produce: CLOCK_MONOTONIC at the start of the broker
  bool existing = false;      // first-produce: the topic is there already

  int groups = 1;
  int members = 1;                 // of each group, each on a connection of its own
  bool consumer_protocol = false;  // KIP-848 instead of the classic protocol
  int heartbeat_ms = 3000;
  int rebalances = 10;         // group-rebalance: how often one leaves and joins again
  int commit_partitions = 10;  // commits: offsets in one request
  int broker_pid = 0;          // groups and commits: whose CPU time is measured; 0: nobody's
};

/// Parses the command line. Prints help or the mistake and ends the program where that is called
/// for.
Options parse_options(int argc, char** argv);

}  // namespace millrace::bench
