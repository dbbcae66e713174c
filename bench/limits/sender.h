// The other end of the sockets.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace millrace::bench {

/// A child process that fills loopback TCP connections, and this process's ends of them.
struct Sender {
  pid_t pid;
  std::vector<int> sockets;
};

/// Starts a child that sends `bytes` in all, spread evenly over `connections`, and ends.
Sender start_sender(int connections, std::int64_t bytes);
/// Closes the sockets and waits for the child.
void finish_sender(const Sender& sender);

}  // namespace millrace::bench
