#include "broker/env/socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace millrace::env {

using common::Error;
using common::Result;
using model::ErrorCode;

Socket::~Socket() {
  if (number_ >= 0) ::close(number_);
}

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> host{};
  if (storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, host.data(), host.size());
    return fmt::format("{}:{}", host.data(), port());
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
  ::inet_ntop(AF_INET6, &v6->sin6_addr, host.data(), host.size());
  std::string_view name = host.data();
  if (name.starts_with("::ffff:")) return fmt::format("{}:{}", name.substr(7), port());
  return fmt::format("[{}]:{}", name, port());
}

// The port is at the same place in both families.
void Address::set_port(std::uint16_t port) {
  reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
}
std::uint16_t Address::port() const {
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

Result<std::vector<Address>> resolve(const Endpoint& endpoint, bool numeric_only) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (endpoint.host.empty() ? AI_PASSIVE : 0) |
                   (numeric_only ? AI_NUMERICHOST : 0);
  addrinfo* found = nullptr;
  const std::string port = std::to_string(endpoint.port);
  const int error = ::getaddrinfo(endpoint.host.empty() ? nullptr : endpoint.host.c_str(),
                                  port.c_str(), &hints, &found);
  if (error != 0) {
    return Error{ErrorCode::kConnectionClosed,
                 fmt::format("cannot resolve {}: {}", endpoint.host, ::gai_strerror(error))};
  }
  std::vector<Address> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Address address;
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    address.length = at->ai_addrlen;
    const auto same = [&address](const Address& other) {
      return other.length == address.length &&
             std::memcmp(&other.storage, &address.storage, other.length) == 0;
    };
    if (std::ranges::none_of(addresses, same)) addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  return addresses;
}

namespace {

/// The peer's address in as few bytes as it needs: there may be ten thousand idle connections.
struct CompactPeer {
  std::array<std::uint8_t, 16> host{};
  std::uint16_t port = 0;
  sa_family_t family = AF_UNSPEC;
};

class RealConnection final : public Connection, private Watcher {
 public:
  RealConnection(RealLoop& loop, Socket socket) : socket_(std::move(socket)) {
    const int on = 1;
    // Answers leave when they are ready. Fails on nothing that is connected by TCP.
    static_cast<void>(::setsockopt(socket_.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    remember_peer();
    join(loop);
  }
  ~RealConnection() override { leave(); }

  void leave() override {
    if (loop_ == nullptr) return;
    std::exchange(loop_, nullptr)->unwatch(socket_.number(), *this);
    on_readable_.reset();
    on_writable_.reset();
    readable_ = false;
    writable_ = true;
  }
  // What is ready already makes an edge again.
  void join(RealLoop& loop) {
    CHECK(loop_ == nullptr, "a connection joins a second loop");
    loop_ = &loop;
    loop.watch(socket_.number(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, *this);
  }

  void when_readable(Task ready) override {
    CHECK(!on_readable_, "somebody waits already");
    on_readable_ = std::move(ready);
    if (readable_) loop_->nudge(*this);
  }

  void when_writable(Task ready) override {
    CHECK(!on_writable_, "somebody waits already");
    on_writable_ = std::move(ready);
    if (writable_) loop_->nudge(*this);
  }

  Result<std::size_t> read(common::MutableByteView into) override {
    if (!readable_ || into.empty()) return std::size_t{0};
    for (;;) {
      const ssize_t count = ::recv(socket_.number(), into.data(), into.size(), 0);
      if (count > 0) {
        // Fewer than asked for: the socket is empty, and the next byte makes an edge. Not so the
        // end, once announced.
        if (static_cast<std::size_t>(count) < into.size() && !ended_) readable_ = false;
        return static_cast<std::size_t>(count);
      }
      if (count == 0) return closed("the peer closed the connection");
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return closed(std::strerror(errno));
      readable_ = false;
      return std::size_t{0};
    }
  }

  Result<std::size_t> write(std::span<const common::ByteView> pieces) override {
    std::size_t total = 0;
    while (!pieces.empty() && writable_) {
      std::array<iovec, IOV_MAX> vectors;  // NOLINT: filled below as far as used
      std::size_t used = 0;
      std::size_t wanted = 0;
      while (used < vectors.size() && used < pieces.size()) {
        vectors[used] = {const_cast<std::uint8_t*>(pieces[used].data()), pieces[used].size()};
        wanted += pieces[used++].size();
      }
      pieces = pieces.subspan(used);
      if (wanted == 0) continue;
      TRY_ASSIGN(const std::size_t written, send(vectors.data(), used));
      total += written;
      // Fewer than offered: the socket is full, and room for more makes an edge.
      if (written < wanted) writable_ = false;
    }
    return total;
  }

  std::string peer() const override {
    Address address;
    address.storage.ss_family = peer_.family;
    if (peer_.family == AF_INET) {
      std::memcpy(&reinterpret_cast<sockaddr_in*>(&address.storage)->sin_addr, peer_.host.data(),
                  sizeof(in_addr));
    } else {
      std::memcpy(&reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_addr, peer_.host.data(),
                  sizeof(in6_addr));
    }
    address.set_port(peer_.port);
    return address.text();
  }

  std::string local() const override {
    Address address;
    address.length = sizeof(address.storage);
    if (::getsockname(socket_.number(), reinterpret_cast<sockaddr*>(&address.storage),
                      &address.length) != 0)
      return "";
    return address.text();
  }

 private:
  void remember_peer() {
    Address address;
    address.length = sizeof(address.storage);
    if (::getpeername(socket_.number(), reinterpret_cast<sockaddr*>(&address.storage),
                      &address.length) != 0)
      return;
    peer_.family = address.storage.ss_family;
    peer_.port = address.port();
    if (peer_.family == AF_INET) {
      std::memcpy(peer_.host.data(), &reinterpret_cast<sockaddr_in*>(&address.storage)->sin_addr,
                  sizeof(in_addr));
    } else {
      std::memcpy(peer_.host.data(), &reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_addr,
                  sizeof(in6_addr));
    }
  }

  static Error closed(std::string_view why) {
    return {ErrorCode::kConnectionClosed, std::string(why)};
  }

  Result<std::size_t> send(iovec* vectors, std::size_t count) {
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    for (;;) {
      // Most answers are one piece, which the kernel takes without a vector to copy in.
      const ssize_t sent =
          count == 1 ? ::send(socket_.number(), vectors->iov_base, vectors->iov_len, MSG_NOSIGNAL)
                     : ::sendmsg(socket_.number(), &message, MSG_NOSIGNAL);
      if (sent >= 0) return static_cast<std::size_t>(sent);
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return std::size_t{0};
      return closed(std::strerror(errno));
    }
  }

  void on_ready(std::uint32_t events) override {
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) ended_ = true;
    if ((events & EPOLLIN) != 0 || ended_) readable_ = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable_ = true;
    // One callback per round: the first may destroy this.
    if (readable_ && on_readable_) {
      if (writable_ && on_writable_) loop_->nudge(*this);
      Task ready = std::move(on_readable_);
      ready();
    } else if (writable_ && on_writable_) {
      Task ready = std::move(on_writable_);
      ready();
    }
  }

  RealLoop* loop_ = nullptr;  // between two loops: none
  Socket socket_;
  bool readable_ = false;
  bool writable_ = true;
  bool ended_ = false;  // the kernel announced the end: reading goes on until it tells so
  CompactPeer peer_;
  Task on_readable_;
  Task on_writable_;
};

}  // namespace

std::unique_ptr<Connection> make_connection(RealLoop& loop, Socket socket) {
  return std::make_unique<RealConnection>(loop, std::move(socket));
}

void move_connection(Connection& connection, RealLoop& loop) {
  static_cast<RealConnection&>(connection).join(loop);
}

}  // namespace millrace::env
