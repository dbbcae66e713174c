#include "cli/broker_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

namespace millrace::cli {
namespace {

using model::Error;
using model::ErrorCode;
using model::Result;

/// A descriptor that is closed at the end of its scope.
class Owned {
 public:
  explicit Owned(int number) : number_(number) {}
  ~Owned() {
    if (number_ >= 0) ::close(number_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

Error system_error(std::string_view what) {
  return {ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(errno))};
}

bool readable_within(int descriptor, std::chrono::milliseconds limit) {
  pollfd wanted{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, static_cast<int>(limit.count())) > 0;
}

/// What the child does until it is the broker. Never returns.
[[noreturn]] void become_broker(const BrokerCommand& command, int log, int output) {
  ::setsid();
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  std::vector<char*> arguments{const_cast<char*>(command.program.c_str())};
  for (const std::string& argument : command.arguments)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execv(command.program.c_str(), arguments.data());
  ::_exit(127);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

Result<StartedBroker> start_broker(const BrokerCommand& command) {
  if (::access(command.program.c_str(), X_OK) != 0)
    return system_error(fmt::format("cannot run {}", command.program));
  const Owned log(::open(command.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (log.number() < 0) return system_error(fmt::format("cannot write {}", command.log));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("cannot make a pipe");
  const Owned write_end(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) become_broker(command, log.number(), write_end.number());
  if (pid < 0) {
    const Error error = system_error("cannot start a process");
    ::close(ends[0]);
    return error;
  }
  return StartedBroker{pid, ends[0]};
}

Result<void> wait_until_ready(const StartedBroker& broker, std::chrono::seconds limit) {
  const Owned output(broker.output);
  // Poll counts the time for us: each wait is for the whole of what is left, which is one line.
  std::string text;
  for (;;) {
    if (!readable_within(output.number(), limit)) {
      return Error{ErrorCode::kRequestTimedOut,
                   fmt::format("process {} is not ready after {} s", broker.pid, limit.count())};
    }
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(output.number(), buffer.data(), buffer.size());
    if (count <= 0) {
      return Error{ErrorCode::kBrokerNotAvailable,
                   fmt::format("process {} ended before it was ready", broker.pid)};
    }
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.starts_with("ready ") || text.find("\nready ") != std::string::npos)
      return common::ok();
  }
}

bool is_broker(pid_t pid, const std::string& data) {
  if (pid <= 0 || ::kill(pid, 0) != 0) return false;
  std::ifstream file(fmt::format("/proc/{}/cmdline", pid), std::ios::binary);
  const std::string line{std::istreambuf_iterator<char>(file), {}};
  // Arguments end with a zero byte each.
  return line.find('\0' + data + '\0') != std::string::npos;
}

void send_signal(pid_t pid, int number) {
  ::kill(pid, number);
}

bool wait_for_end(pid_t pid, std::chrono::seconds limit) {
  // Of any process, not only of a child; it becomes readable at the end.
  const Owned process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (process.number() < 0) return errno == ESRCH;
  return readable_within(process.number(), limit);
}

std::uint16_t free_port(std::vector<std::uint16_t>& taken, std::uint16_t preferred) {
  // The system gives ports that are free; only those we mean to use ourselves may come again.
  for (int tries = 0; tries < 100; ++tries) {
    const Owned probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;  // what closed connections left behind on the port is no listener
    ::setsockopt(probe.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address = loopback(std::exchange(preferred, 0));
    socklen_t size = sizeof(address);
    if (::bind(probe.number(), reinterpret_cast<sockaddr*>(&address), size) != 0) {
      if (address.sin_port != 0) continue;
      return 0;
    }
    if (::getsockname(probe.number(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    const std::uint16_t port = ntohs(address.sin_port);
    if (std::ranges::find(taken, port) != taken.end()) continue;
    taken.push_back(port);
    return port;
  }
  return 0;
}

int http_status(std::uint16_t port, const std::string& path, std::chrono::seconds limit) {
  const Owned socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return 0;
  const std::string request = fmt::format("GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
  if (::send(socket.number(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    return 0;
  if (!readable_within(socket.number(), limit)) return 0;
  std::array<char, 256> buffer{};
  const ssize_t count = ::recv(socket.number(), buffer.data(), buffer.size() - 1, 0);
  const std::string_view answer(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  const std::size_t blank = answer.find(' ');
  return blank == std::string_view::npos ? 0 : std::atoi(answer.data() + blank + 1);
}

}  // namespace millrace::cli
