// Sockets and addresses as values. Private to the real transport.
#pragma once

#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

#include "broker/env/real_loop.h"
#include "broker/env/transport.h"

namespace millrace::env {

/// Owns one descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int number) : number_(number) {}
  Socket(Socket&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Socket();
  int number() const { return number_; }
  bool open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  /// "1.2.3.4:80" or "[::1]:80".
  std::string text() const;
  void set_port(std::uint16_t port);
  std::uint16_t port() const;
};

/// The addresses of a host and port, at least one. Blocks on names. An empty host: all of this
/// machine's, to listen on.
common::Result<std::vector<Address>> resolve(const Endpoint& endpoint, bool numeric_only);

/// A connected socket as a Connection on `loop`. The socket is non-blocking.
std::unique_ptr<Connection> make_connection(RealLoop& loop, Socket socket);
/// Gives one that left its loop another. Requires that make_connection() made it.
void move_connection(Connection& connection, RealLoop& loop);

}  // namespace millrace::env
