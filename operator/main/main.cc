#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/process/logging.h"
#include "common/random.h"
#include "operator/kube/client.h"
#include "operator/kube/config.h"
#include "operator/main/apply.h"
#include "operator/main/check.h"
#include "operator/main/memory.h"
#include "operator/main/options.h"
#include "operator/main/process.h"

namespace millrace::operators {
namespace {

constexpr int kExitLost = 3;          // the lease is somebody else's
constexpr int kExitUsage = 64;        // EX_USAGE
constexpr int kExitCannotServe = 69;  // EX_UNAVAILABLE

/// What the process says to itself when it has lost the lease.
constexpr int kLeadershipLost = SIGUSR1;

sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, kLeadershipLost}) sigaddset(&signals, one);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

/// Of this process and of no earlier one.
std::string identity_of(const Options& options, common::Random& random) {
  if (!options.identity.empty()) return options.identity;
  const auto pod = kube::process_environment()("POD_NAME");
  char host[256] = "operator";
  if (!pod) gethostname(host, sizeof(host) - 1);
  return fmt::format("{}_{:016x}", pod.value_or(host), random.next());
}

std::string own_space(const kube::Config& config) {
  return kube::process_environment()("POD_NAMESPACE").value_or(config.space);
}

/// How to reach the API server, or nothing after a complaint.
struct Server {
  kube::Config config;
  std::unique_ptr<kube::Client> client;
  /// Quick to give up: a lease that was not renewed in time is worth nothing.
  std::unique_ptr<kube::Client> lease_client;
};
std::optional<Server> find_server(const Options& options, const common::Clock& clock,
                                  common::Random& random) {
  const auto complain = [](const std::string& detail) {
    fmt::print(stderr, "millrace-operator: {}\n", detail);
    return std::nullopt;
  };
  auto config = kube::find_config(kube::process_environment(), options.kubeconfig, options.context);
  if (!config.ok()) return complain(config.error().detail);
  auto client = kube::make_client(*config, clock, random.fork());
  if (!client.ok()) return complain(client.error().detail);
  const kube::ClientSettings quick{
      .call = std::chrono::seconds(3), .total = std::chrono::seconds(4), .tries = 1};
  auto lease_client = kube::make_client(*config, clock, random.fork(), quick);
  if (!lease_client.ok()) return complain(lease_client.error().detail);
  return Server{*std::move(config), *std::move(client), *std::move(lease_client)};
}

int apply(const Options& options) {
  common::Random random(common::system_seed());
  const common::SystemClock clock;
  const auto server = find_server(options, clock, random);
  return server ? apply_files(*server->client, options.files) : kExitUsage;
}

int run(Options options) {
  const sigset_t signals = block_signals();
  common::Random random(common::system_seed());
  const common::SystemClock clock;
  options.identity = identity_of(options, random);
  const auto server = find_server(options, clock, random);
  if (!server) return kExitUsage;
  spdlog::info(
      "event=starting version={} server={} identity={} namespaces={}", MILLRACE_VERSION,
      server->config.url(), options.identity,
      options.namespaces.empty() ? "all" : fmt::format("{}", fmt::join(options.namespaces, ",")));
  Process process(options, own_space(server->config), {*server->client, *server->lease_client},
                  clock, random.fork());
  if (const auto problem = process.start([] { kill(getpid(), kLeadershipLost); })) {
    fmt::print(stderr, "millrace-operator: {}\n", *problem);
    return kExitCannotServe;
  }
  int heard = 0;
  sigwait(&signals, &heard);
  spdlog::info("event=stopping signal={}", heard);
  process.stop();
  spdlog::info("event=stopped");
  return heard == kLeadershipLost ? kExitLost : 0;
}

int main_of(const std::vector<std::string>& arguments) {
  Options options;
  if (const auto problem = read_options(arguments, options)) {
    std::fputs(problem->detail.c_str(), stderr);
    return problem->exit_code;
  }
  process::set_up_logging("millrace-operator", options.log_format, options.log_level);
  switch (options.command) {
    case Command::kDone:
      return 0;
    case Command::kCheck:
      return check_page(options.url, options.wait_seconds);
    case Command::kApply:
      return apply(options);
    case Command::kRun:
      return run(std::move(options));
  }
  return kExitUsage;
}

}  // namespace
}  // namespace millrace::operators

int main(int argc, char** argv) {
  millrace::operators::share_memory();
  return millrace::operators::main_of({argv + 1, argv + argc});
}
