// TRY_ASSIGN(const pid_t pid, start_broker({.program = "millrace", .arguments = ..., .log =
// file}));
//
// Broker processes of this machine.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "broker/model/errors.h"

namespace millrace::cli {

struct BrokerCommand {
  std::string program;
  std::vector<std::string> arguments;
  std::string log;  // file for what it writes, appended
};

/// A process of its own session that goes on when this one ends.
struct StartedBroker {
  pid_t pid = 0;
  int output = -1;  // where its line "ready ..." comes
};
model::Result<StartedBroker> start_broker(const BrokerCommand& command);
/// Waits for its line "ready ..." and closes `output`. kRequestTimedOut: it did not come.
/// kBrokerNotAvailable: the process ended first.
model::Result<void> wait_until_ready(const StartedBroker& broker, std::chrono::seconds limit);

/// Whether the process runs and is one that was started with this data directory: the number may be
/// another process's by now.
bool is_broker(pid_t pid, const std::string& data);

void send_signal(pid_t pid, int number);
/// False: it has not ended within `limit`.
bool wait_for_end(pid_t pid, std::chrono::seconds limit);

/// A port of 127.0.0.1 that nobody listens on, and that is in none of `taken`: the preferred one
/// unless that is 0 or not free. 0: there is none.
std::uint16_t free_port(std::vector<std::uint16_t>& taken, std::uint16_t preferred);

/// The status that GET answers with; 0: nobody answers.
int http_status(std::uint16_t port, const std::string& path, std::chrono::seconds limit);

}  // namespace millrace::cli
