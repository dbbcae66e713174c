#include "bench/limits/sender.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/load/basics.h"

namespace millrace::bench {
namespace {

constexpr std::size_t kChunkBytes = 256 << 10;

/// Runs in the child: writes to whichever socket takes something until each had its share.
[[noreturn]] void send_all(const std::vector<int>& sockets, std::int64_t bytes) {
  const std::vector<char> chunk(kChunkBytes, 'm');
  std::vector<pollfd> waiting;
  std::vector<std::int64_t> left(sockets.size(), bytes / static_cast<std::int64_t>(sockets.size()));
  waiting.reserve(sockets.size());
  for (const int fd : sockets) waiting.push_back({fd, POLLOUT, 0});
  for (std::size_t open = sockets.size(); open > 0;) {
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) _exit(1);
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      const auto size = std::min<std::int64_t>(left[i], static_cast<std::int64_t>(chunk.size()));
      const ssize_t n = send(waiting[i].fd, chunk.data(), static_cast<std::size_t>(size),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) _exit(1);
      if (n > 0) left[i] -= n;
      if (left[i] > 0) continue;
      close(waiting[i].fd);
      waiting[i].fd = -1;  // poll() passes over it
      waiting[i].revents = 0;
      --open;
    }
  }
  _exit(0);
}

}  // namespace

Sender start_sender(int connections, std::int64_t bytes) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, generic, size) != 0 || listen(listener, connections) != 0 ||
      getsockname(listener, generic, &size) != 0) {
    fail("loopback listener: {}", std::strerror(errno));
  }
  Sender sender{};
  std::vector<int> far_ends;
  for (int i = 0; i < connections; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, generic, size) != 0)
      fail("loopback connect: {}", std::strerror(errno));
    far_ends.push_back(fd);
    sender.sockets.push_back(accept(listener, nullptr, nullptr));
    if (sender.sockets.back() < 0) fail("loopback accept: {}", std::strerror(errno));
  }
  close(listener);
  sender.pid = fork();
  if (sender.pid < 0) fail("fork: {}", std::strerror(errno));
  const bool child = sender.pid == 0;
  for (const int fd : child ? sender.sockets : far_ends) close(fd);
  if (child) send_all(far_ends, bytes);
  return sender;
}

void finish_sender(const Sender& sender) {
  for (const int fd : sender.sockets) close(fd);
  int status = 0;
  if (waitpid(sender.pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fail("the sender failed");
  }
}

}  // namespace millrace::bench
