// BrokerProcess broker({program, "--data", folder, ...}, folder + ".log");
// ASSERT_TRUE(broker.ready()); broker.signal(SIGKILL);   broker.wait();
//
// The program `millrace` as a process of its own.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "broker/env/transport.h"
#include "common/check.h"

namespace millrace::server::testing {

/// Ends with the test: whatever happens, no process is left behind.
class BrokerProcess {
 public:
  /// `command`: the program and its arguments. `log`: a file that gets what it says on stderr,
  /// behind what is there.
  BrokerProcess(const std::vector<std::string>& command, std::string log) : log_(std::move(log)) {
    std::array<int, 2> ends{};
    CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0);
    output_ = ends[0];
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) become(command, ends[1]);
    ::close(ends[1]);
  }
  ~BrokerProcess() {
    if (pid_ > 0) {
      signal(SIGKILL);
      wait();
    }
    ::close(output_);
  }
  BrokerProcess(const BrokerProcess&) = delete;
  BrokerProcess& operator=(const BrokerProcess&) = delete;

  /// Waits until it serves; false: it ended, or hangs.
  bool ready() {
    pollfd wanted{.fd = output_, .events = POLLIN, .revents = 0};
    while (line_.find("ready ") == std::string::npos || !line_.ends_with('\n')) {
      if (::poll(&wanted, 1, kReadyMaxMs) <= 0) return false;
      std::array<char, 512> buffer;
      const ssize_t count = ::read(output_, buffer.data(), buffer.size());
      if (count <= 0) return false;
      line_.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return true;
  }
  /// One of its doors, "kafka", "grpc" or "http". Requires that it was ready.
  env::Endpoint door(const std::string& name) const {
    const std::size_t begin = line_.find(name + "=") + name.size() + 1;
    return env::Endpoint::parse(line_.substr(begin, line_.find_first_of(" \n", begin) - begin))
        .value();
  }
  void signal(int number) { ::kill(pid_, number); }
  /// Waits for its end; the exit status, or 256 and more: the signal that ended it.
  int wait() {
    int status = 0;
    CHECK(::waitpid(std::exchange(pid_, 0), &status, 0) > 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  }
  /// What it and those before it said.
  std::string said() const {
    std::ifstream file(log_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  // A process that hangs; on a machine that is busy with other tests all is slow.
  static constexpr int kReadyMaxMs = 120'000;

  [[noreturn]] void become(const std::vector<std::string>& command, int output) {
    const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    std::vector<char*> all;
    for (const std::string& argument : command) all.push_back(const_cast<char*>(argument.c_str()));
    all.push_back(nullptr);
    ::execv(all[0], all.data());
    ::_exit(127);
  }

  const std::string log_;
  pid_t pid_ = 0;
  int output_ = -1;
  std::string line_;
};

/// A loopback address of this process alone: on it any port is free, and stays so while a broker is
/// down. One that the kernel found free on 127.0.0.1 may be anybody's by then.
inline std::string own_address() {
  const auto id = static_cast<unsigned>(::getpid());
  return fmt::format("127.{}.{}.{}", 64 + (id >> 16 & 63), id >> 8 & 255, id & 255);
}

}  // namespace millrace::server::testing
