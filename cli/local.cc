// millctl local up|down|status|stop|kill|start|logs: brokers on this machine, for trying things
// out.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "cli/broker_process.h"
#include "cli/commands.h"
#include "cli/local_cluster.h"
#include "cli/table.h"
#include "common/random.h"
#include "common/uuid.h"

namespace millrace::cli {
namespace {

using common::Error;
using common::Result;

constexpr auto kReadyMax = std::chrono::seconds(60);
constexpr auto kStopMax = std::chrono::seconds(60);
constexpr auto kAnswerMax = std::chrono::seconds(2);

struct Arguments {
  std::string folder = "millrace-local";
  std::size_t brokers = 3;
  std::uint16_t base_port = 0;  // 0: the usual ones, or any
  std::int32_t broker = -1;     // -1: not said
  std::size_t lines = 20;
  std::string program;
  std::vector<std::string> settings;
  bool clean = false;
  bool free_ports = false;  // none is preferred
};

/// The folder with what is remembered of the brokers, and their data.
class Place {
 public:
  explicit Place(const std::string& folder) : folder_(std::filesystem::absolute(folder).string()) {}

  const std::string& folder() const { return folder_; }
  std::string data(const LocalBroker& broker) const {
    return fmt::format("{}/broker-{}", folder_, broker.node);
  }
  std::string log(const LocalBroker& broker) const {
    return fmt::format("{}/broker-{}.log", folder_, broker.node);
  }
  /// An empty cluster: nothing was started here yet.
  Result<LocalCluster> load() const {
    std::ifstream file(state());
    if (!file) return LocalCluster{};
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto cluster = parse_local(text);
    if (!cluster.ok())
      return Error{cluster.error().code, fmt::format("{}: {}", state(), cluster.error().detail)};
    return cluster;
  }
  Result<void> save(const LocalCluster& cluster) const {
    std::error_code failed;
    std::filesystem::create_directories(folder_, failed);
    const std::string fresh = state() + ".new";
    std::ofstream file(fresh);
    file << to_json(cluster) << '\n';
    file.close();
    if (file) std::filesystem::rename(fresh, state(), failed);
    if (!file || failed)
      return Error{model::ErrorCode::kIo, fmt::format("cannot write {}", state())};
    return common::ok();
  }
  bool runs(const LocalBroker& broker) const { return is_broker(broker.pid, data(broker)); }

 private:
  std::string state() const { return folder_ + "/local.json"; }

  const std::string folder_;
};

Exit complain(const Error& error) {
  fmt::print(stderr, "millctl: {}\n", error.detail);
  return Exit::kFailed;
}

/// The broker's program: as named, or the one beside this program.
std::string program_of(const Arguments& arguments) {
  if (!arguments.program.empty()) return arguments.program;
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? "millrace" : (self.parent_path() / "millrace").string();
}

/// The broker's ports when it has the machine to itself; each further one is ten higher.
constexpr std::uint16_t kKafkaPort = 9092, kInternalPort = 9093, kGrpcPort = 9094, kHttpPort = 9644;
constexpr std::size_t kPortStep = 10;

/// The four ports of a new broker: counted from a base, or the usual ones as far as they are free.
/// draw: no port is preferred to others.
Result<void> give_ports(LocalBroker& broker, std::uint16_t base, bool draw,
                        std::vector<std::uint16_t>& taken) {
  if (base != 0) {
    if (!set_ports(broker, base))
      return Error{model::ErrorCode::kInvalidRequest,
                   fmt::format("--base-port {} is too high for broker {}", base, broker.node)};
    return common::ok();
  }
  const auto above = static_cast<std::uint16_t>(static_cast<std::size_t>(broker.node) * kPortStep);
  for (const auto& [port, usual] : {std::pair{&broker.kafka, kKafkaPort},
                                    {&broker.internal, kInternalPort},
                                    {&broker.grpc, kGrpcPort},
                                    {&broker.http, kHttpPort}}) {
    *port = free_port(taken, draw ? 0 : static_cast<std::uint16_t>(usual + above));
    if (*port == 0)
      return Error{model::ErrorCode::kAddressInUse, "no free port is left on this machine"};
  }
  return common::ok();
}

Result<void> add_brokers(LocalCluster& cluster, const Arguments& arguments) {
  if (cluster.cluster_id.empty()) {
    common::Random random(common::system_seed());
    cluster.cluster_id = "local-" + common::Uuid::random(random).text();
    cluster.voters = voters_of(arguments.brokers);
    cluster.base_port = arguments.base_port;
  }
  std::vector<std::uint16_t> taken;
  for (const LocalBroker& known : cluster.brokers)
    taken.insert(taken.end(), {known.kafka, known.internal, known.grpc, known.http});
  while (cluster.brokers.size() < arguments.brokers) {
    LocalBroker broker{.node = static_cast<std::int32_t>(cluster.brokers.size())};
    TRY(give_ports(broker, cluster.base_port, arguments.free_ports, taken));
    cluster.brokers.push_back(broker);
  }
  return common::ok();
}

/// A row per broker; true: all of them run and are ready.
bool print_brokers(const Place& place, const LocalCluster& cluster, bool as_json) {
  bool all = !cluster.brokers.empty();
  nlohmann::json rows = nlohmann::json::array();
  Table table({"BROKER", "STATE", "PID", "KAFKA", "GRPC", "HTTP", "DATA"});
  for (const LocalBroker& broker : cluster.brokers) {
    const bool runs = place.runs(broker);
    const bool ready = runs && http_status(broker.http, "/readyz", kAnswerMax) == 200;
    all = all && ready;
    const std::string state = ready ? "ready" : runs ? "not ready" : "stopped";
    const auto address = [](std::uint16_t port) { return fmt::format("127.0.0.1:{}", port); };
    rows.push_back({{"broker", broker.node},
                    {"state", state},
                    {"pid", runs ? broker.pid : 0},
                    {"kafka", address(broker.kafka)},
                    {"grpc", address(broker.grpc)},
                    {"http", address(broker.http)},
                    {"data", place.data(broker)}});
    table.add({std::to_string(broker.node), state, runs ? std::to_string(broker.pid) : "-",
               address(broker.kafka), address(broker.grpc), address(broker.http),
               place.data(broker)});
  }
  fmt::print("{}", as_json ? rows.dump() + "\n" : table.text());
  return all;
}

/// Starts those of the brokers that do not run, and waits until they are ready.
Result<void> start_all(const Place& place, LocalCluster& cluster, const Arguments& arguments,
                       const std::vector<std::size_t>& wanted) {
  std::vector<std::pair<std::size_t, StartedBroker>> started;
  for (const std::size_t i : wanted) {
    LocalBroker& broker = cluster.brokers[i];
    if (place.runs(broker)) continue;
    if (!arguments.settings.empty()) broker.settings = arguments.settings;
    TRY_ASSIGN(const StartedBroker process,
               start_broker({.program = program_of(arguments),
                             .arguments = broker_arguments(cluster, i, place.data(broker)),
                             .log = place.log(broker)}));
    broker.pid = process.pid;
    started.emplace_back(i, process);
    TRY(place.save(cluster));
  }
  for (const auto& [index, process] : started) {
    const LocalBroker& broker = cluster.brokers[index];
    if (auto ready = wait_until_ready(process, kReadyMax); !ready.ok()) {
      return Error{ready.error().code,
                   fmt::format("broker {}: {}; what it said is in {}", broker.node,
                               ready.error().detail, place.log(broker))};
    }
  }
  return common::ok();
}

Exit up(const Global& global, const Arguments& arguments) {
  const Place place(arguments.folder);
  auto loaded = place.load();
  if (!loaded.ok()) return complain(loaded.error());
  LocalCluster cluster = std::move(*loaded);
  if (auto added = add_brokers(cluster, arguments); !added.ok()) return complain(added.error());
  if (auto saved = place.save(cluster); !saved.ok()) return complain(saved.error());
  std::vector<std::size_t> all(cluster.brokers.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (auto started = start_all(place, cluster, arguments, all); !started.ok())
    return complain(started.error());
  if (!print_brokers(place, cluster, global.json)) return Exit::kUnwell;
  if (!global.json) {
    fmt::print("export MILLRACE_BROKER=127.0.0.1:{}    # for the other commands of millctl\n",
               cluster.brokers.front().grpc);
  }
  return Exit::kOk;
}

/// What is remembered, and which of its brokers is meant.
struct Chosen {
  LocalCluster cluster;
  std::size_t index = 0;
};
Result<Chosen> choose(const Place& place, const Arguments& arguments) {
  Chosen chosen;
  TRY_ASSIGN(chosen.cluster, place.load());
  for (const LocalBroker& broker : chosen.cluster.brokers) {
    if (broker.node == arguments.broker) return chosen;
    ++chosen.index;
  }
  return Error{model::ErrorCode::kNotFound,
               fmt::format("{} has no broker {}; see millctl local status", place.folder(),
                           arguments.broker)};
}

Exit start(const Global& global, const Arguments& arguments) {
  const Place place(arguments.folder);
  auto chosen = choose(place, arguments);
  if (!chosen.ok()) return complain(chosen.error());
  auto started = start_all(place, chosen->cluster, arguments, {chosen->index});
  if (!started.ok()) return complain(started.error());
  if (!global.json) fmt::print("broker {} is ready\n", arguments.broker);
  return Exit::kOk;
}

/// Ends one broker by this signal.
Exit end(const Arguments& arguments, int signal) {
  const Place place(arguments.folder);
  auto chosen = choose(place, arguments);
  if (!chosen.ok()) return complain(chosen.error());
  LocalBroker& broker = chosen->cluster.brokers[chosen->index];
  if (place.runs(broker)) {
    send_signal(broker.pid, signal);
    if (!wait_for_end(broker.pid, kStopMax)) {
      return complain({model::ErrorCode::kRequestTimedOut,
                       fmt::format("broker {} (process {}) has not stopped within {} s",
                                   broker.node, broker.pid, kStopMax.count())});
    }
  }
  broker.pid = 0;
  if (auto saved = place.save(chosen->cluster); !saved.ok()) return complain(saved.error());
  fmt::print("broker {} {}\n", broker.node, signal == SIGKILL ? "killed" : "stopped");
  return Exit::kOk;
}

/// The end of what one broker, or each of them, has logged.
Exit logs(const Arguments& arguments) {
  const Place place(arguments.folder);
  const auto cluster = place.load();
  if (!cluster.ok()) return complain(cluster.error());
  bool any = false;
  for (const LocalBroker& broker : cluster->brokers) {
    if (arguments.broker >= 0 && broker.node != arguments.broker) continue;
    any = true;
    fmt::print("==> {} <==\n", place.log(broker));
    std::ifstream file(place.log(broker));
    std::deque<std::string> last;
    for (std::string line; std::getline(file, line);) {
      last.push_back(line);
      if (last.size() > arguments.lines) last.pop_front();
    }
    for (const std::string& line : last) fmt::print("{}\n", line);
  }
  if (any) return Exit::kOk;
  fmt::print(stderr, "millctl: {} has no such broker\n", place.folder());
  return Exit::kNotFound;
}

Exit down(const Arguments& arguments) {
  const Place place(arguments.folder);
  auto loaded = place.load();
  if (!loaded.ok()) return complain(loaded.error());
  LocalCluster cluster = std::move(*loaded);
  std::vector<LocalBroker*> stopping;
  for (LocalBroker& broker : cluster.brokers) {
    if (place.runs(broker)) {
      send_signal(broker.pid, SIGTERM);
      stopping.push_back(&broker);
    } else {
      broker.pid = 0;
    }
  }
  bool all = true;
  for (LocalBroker* broker : stopping) {
    if (wait_for_end(broker->pid, kStopMax)) {
      broker->pid = 0;
      continue;
    }
    all = false;
    fmt::print(stderr, "millctl: broker {} (process {}) has not stopped within {} s\n",
               broker->node, broker->pid, kStopMax.count());
  }
  if (all && arguments.clean) {
    std::error_code failed;
    std::filesystem::remove_all(place.folder(), failed);
    if (failed) return complain({model::ErrorCode::kIo, "cannot delete " + place.folder()});
  } else if (!cluster.brokers.empty()) {
    if (auto saved = place.save(cluster); !saved.ok()) return complain(saved.error());
  }
  fmt::print("{} brokers stopped\n", stopping.size());
  return all ? Exit::kOk : Exit::kFailed;
}

Exit status(const Global& global, const Arguments& arguments) {
  const Place place(arguments.folder);
  const auto cluster = place.load();
  if (!cluster.ok()) return complain(cluster.error());
  if (cluster->brokers.empty()) {
    fmt::print(stderr, "millctl: no brokers were started in {}; see millctl local up --help\n",
               place.folder());
    return Exit::kNotFound;
  }
  return print_brokers(place, *cluster, global.json) ? Exit::kOk : Exit::kUnwell;
}

}  // namespace

void add_local_commands(CLI::App& app, const Global& global, Exit& exit) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* local = app.add_subcommand("local", "Run brokers on this machine, to try things out");
  local->require_subcommand(1);
  const auto command = [local, arguments](const std::string& name, const std::string& what) {
    CLI::App* added = local->add_subcommand(name, what);
    added->add_option("--dir", arguments->folder,
                      "where their data, logs and addresses are (default millrace-local)");
    return added;
  };
  const auto program = [arguments](CLI::App* starter) {
    starter->add_option("--millrace", arguments->program,
                        "the broker's program (default: the one beside millctl)");
    starter->add_option("--set", arguments->settings,
                        "KEY=VALUE, a setting of brokers started now, which keep what was given "
                        "last");
  };
  const auto one = [arguments](CLI::App* of_one) {
    of_one->add_option("broker", arguments->broker, "its number, from 0")->required();
  };

  CLI::App* add = command("up", "Start brokers that are one cluster, and wait until they serve");
  add->add_option("--brokers", arguments->brokers, "how many, with those that are there (3)")
      ->check(CLI::Range(1, 64));
  add->add_option("--base-port", arguments->base_port,
                  "broker I serves Kafka on this + 10 I, and other brokers, gRPC and HTTP on the "
                  "next three ports");
  add->add_flag("--free-ports", arguments->free_ports,
                "any free ports, not the usual ones, for those that are new");
  program(add);
  add->footer(
      "examples:\n  millctl local up\n  millctl local up --brokers 5    # two more\n"
      "Brokers listen on 127.0.0.1: the first on 9092 (Kafka), 9094 (gRPC) and 9644 (HTTP), each "
      "other one ten higher,\nand where one of these is taken on any free port. They keep their "
      "ports. Those that run are left alone.");
  add->callback([arguments, &global, &exit] { exit = up(global, *arguments); });

  CLI::App* all = command("down", "Stop all of them; their data stays");
  all->add_flag("--clean", arguments->clean, "delete their data as well");
  all->callback([arguments, &exit] { exit = down(*arguments); });

  CLI::App* show = command("status", "Which run, and where");
  show->footer("Ends with 5 if one of them is not ready.");
  show->callback([arguments, &global, &exit] { exit = status(global, *arguments); });

  CLI::App* again = command("start", "Start one that does not run");
  one(again);
  program(again);
  again->callback([arguments, &global, &exit] { exit = start(global, *arguments); });

  CLI::App* stop = command("stop", "Stop one as a supervisor does (SIGTERM)");
  one(stop);
  stop->callback([arguments, &exit] { exit = end(*arguments, SIGTERM); });

  CLI::App* kill = command("kill", "Kill one (SIGKILL), to see what happens");
  one(kill);
  kill->callback([arguments, &exit] { exit = end(*arguments, SIGKILL); });

  CLI::App* read = command("logs", "What they said last");
  read->add_option("broker", arguments->broker, "only of this one");
  read->add_option("--lines", arguments->lines, "how much of each (20)");
  read->callback([arguments, &exit] { exit = logs(*arguments); });
}

}  // namespace millrace::cli
