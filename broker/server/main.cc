#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "broker/server/broker.h"
#include "broker/server/logging.h"
#include "broker/server/options.h"
#include "broker/server/pod_files.h"
#include "broker/server/settings_table.h"
#include "broker/server/version.h"
#include "common/process/logging.h"

namespace millrace::server {
namespace {

constexpr int kExitUsage = 64;        // EX_USAGE
constexpr int kExitCannotServe = 69;  // EX_UNAVAILABLE

std::vector<std::string> environment_variables() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable)
    variables.emplace_back(*variable);
  return variables;
}

int complain(int status, const common::Error& error) {
  std::fprintf(stderr, "millrace: %s\n", error.detail.c_str());
  return status;
}

/// Request frames come and go at thousands a second: their memory must stay with the process
/// between two of them, since a page that comes back from the kernel costs more than all that is
/// done with it.
void keep_freed_memory() {
  constexpr int kMappedFrom = 4 << 20;
  constexpr int kKeptAtTop = 32 << 20;
  mallopt(M_MMAP_THRESHOLD, kMappedFrom);
  mallopt(M_TRIM_THRESHOLD, kKeptAtTop);
}

/// Starts the broker on a thread of its own, so that signals are heard while it waits for others.
/// Says `kOpeningFailed` to the process if it cannot.
constexpr int kOpeningFailed = SIGUSR1;
std::thread open_beside(Broker& broker, common::Result<void>& outcome) {
  return std::thread([&broker, &outcome] {
    outcome = broker.open();
    if (!outcome.ok()) {
      kill(getpid(), kOpeningFailed);
      return;
    }
    std::printf("%s\n", broker.ready_line().c_str());
    std::fflush(stdout);
    log_info(broker.ready_line());
  });
}

int serve(Options options) {
  keep_freed_memory();
  // Blocked before any thread exists, so that only the sigwait below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, kOpeningFailed}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const model::BrokerSettings settings =
      model::resolve_broker_settings({.from_start = &options.config});
  process::set_up_logging("millrace", settings.log_format, settings.log_level);
  for (const std::string& warning : options.warnings) log_warning(warning);
  if (const auto rack = take_rack(options.config))
    log_info(fmt::format("event=rack rack=\"{}\"", *rack));
  const std::unique_ptr<Broker> broker = Broker::create(options);
  common::Result<void> opened;
  std::thread opening = open_beside(*broker, opened);
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  if (signal_number != kOpeningFailed) log_info("event=stopping");
  broker->interrupt();
  opening.join();
  broker->stop();
  if (signal_number == kOpeningFailed) return complain(kExitCannotServe, opened.error());
  log_info("event=stopped");
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  auto options = read_options(arguments, environment_variables());
  if (!options.ok()) return complain(kExitUsage, options.error());
  switch (options->command) {
    case Command::kHelp:
      std::fputs(help_text().c_str(), stdout);
      return 0;
    case Command::kVersion:
      std::printf("millrace %s\n", kVersion);
      return 0;
    case Command::kConfig:
      std::fputs(
          (options->json ? settings_as_json(options->config) : settings_as_table(options->config))
              .c_str(),
          stdout);
      return 0;
    case Command::kFormat: {
      const auto formatted = format_directory(*options);
      if (!formatted.ok()) return complain(kExitCannotServe, formatted.error());
      std::printf("%s\n", formatted->c_str());
      return 0;
    }
    case Command::kServe:
      return serve(*std::move(options));
  }
  return 0;
}

}  // namespace
}  // namespace millrace::server

int main(int argc, char** argv) {
  return millrace::server::run(std::vector<std::string>(argv + 1, argv + argc));
}
