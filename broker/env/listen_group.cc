#include "broker/env/listen_group.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/reply.h"

namespace millrace::env {

using common::Error;
using common::Result;
using model::ErrorCode;

namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn
constexpr int kAcceptsPerRound = 64;
constexpr int kPortDraws = 16;
// How long accepting rests when there are no descriptors. Clients meanwhile wait in the backlog.
constexpr auto kPause = std::chrono::milliseconds(100);

// Errors of bind and listen that another one of the host's addresses may not have.
Result<Socket> listen_on(const Address& address) {
  Socket socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto failed = [&address](std::string_view what) {
    const int number = errno;
    const ErrorCode code =
        number == EADDRINUSE ? ErrorCode::kAddressInUse : ErrorCode::kConnectionClosed;
    const char* hint = number == EADDRINUSE
                           ? "; another program has the port: stop it, or choose another one"
                           : "";
    return Error{
        code, fmt::format("cannot {} {}: {}{}", what, address.text(), std::strerror(number), hint)};
  };
  if (!socket.open()) return failed("make a socket for");
  const int on = 1;
  const int off = 0;
  // Lets us bind while connections of an earlier run are in TIME_WAIT; an address that somebody
  // listens on stays taken.
  static_cast<void>(::setsockopt(socket.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
  if (address.storage.ss_family == AF_INET6) {
    const bool any = IN6_IS_ADDR_UNSPECIFIED(
        &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr);
    const int& only_v6 = any ? off : on;
    static_cast<void>(
        ::setsockopt(socket.number(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6)));
  }
  if (::bind(socket.number(), address.get(), address.length) != 0) return failed("listen on");
  if (::listen(socket.number(), kBacklog) != 0) return failed("listen on");
  return socket;
}

std::uint16_t port_of(const Socket& socket) {
  Address address;
  address.length = sizeof(address.storage);
  CHECK(::getsockname(socket.number(), reinterpret_cast<sockaddr*>(&address.storage),
                      &address.length) == 0);
  return address.port();
}

}  // namespace

Result<std::shared_ptr<ListenGroup>> ListenGroup::open(RealNetwork& network,
                                                       const Endpoint& endpoint) {
  TRY_ASSIGN(std::vector<Address> addresses, resolve(endpoint, false));
  if (endpoint.host.empty()) {
    // One IPv6 socket serves both families; where there is no IPv6 the IPv4 one must do.
    std::ranges::stable_sort(
        addresses, {}, [](const Address& a) { return a.storage.ss_family == AF_INET6 ? 0 : 1; });
  }
  Result<void> bound;
  for (int draw = 0; draw < kPortDraws; ++draw) {
    std::shared_ptr<ListenGroup> group(new ListenGroup(network, endpoint));
    bound = group->bind_all(addresses);
    if (bound.ok()) return group;
    // A free port of the first address may be taken on the second one: draw again.
    if (endpoint.port != 0 || bound.error().code != ErrorCode::kAddressInUse) break;
  }
  return std::move(bound).error();
}

Result<void> ListenGroup::bind_all(std::vector<Address> addresses) {
  Result<void> failure;
  for (Address& address : addresses) {
    if (endpoint_.host.empty() && !doors_.empty()) break;
    address.set_port(endpoint_.port);
    auto socket = listen_on(address);
    if (!socket.ok()) {
      if (socket.error().code == ErrorCode::kAddressInUse) return std::move(socket).error();
      // Such as ::1 of localhost where IPv6 is off.
      failure = std::move(socket).error();
      continue;
    }
    endpoint_.port = port_of(*socket);
    doors_.push_back(std::make_unique<Door>(*this, *std::move(socket)));
  }
  if (doors_.empty()) return failure;
  return {};
}

ListenGroup::~ListenGroup() {
  CHECK(seats_.empty(), "a listening socket was closed under its listeners");
}

void ListenGroup::watch(RealLoop& loop) {
  for (const auto& door : doors_) loop.watch(door->socket().number(), EPOLLIN, *door);
}

void ListenGroup::enter(std::shared_ptr<Seat> seat) {
  const std::lock_guard lock(mutex_);
  seats_.push_back(seat);
  if (watcher_ != nullptr) return;
  watcher_ = &seat->loop;
  watch(*watcher_);
}

void ListenGroup::leave(const std::shared_ptr<Seat>& seat) {
  seat->taken = false;
  const std::lock_guard lock(mutex_);
  std::erase(seats_, seat);
  if (watcher_ != &seat->loop) return;
  if (std::ranges::any_of(seats_, [this](const auto& other) { return &other->loop == watcher_; }))
    return;
  for (const auto& door : doors_) watcher_->unwatch(door->socket().number(), *door);
  if (pause_ != TimerId::kNone) watcher_->cancel(std::exchange(pause_, TimerId::kNone));
  watcher_ = seats_.empty() ? nullptr : &seats_.front()->loop;
  // What waits already makes an edge for the new watcher.
  if (watcher_ != nullptr) watch(*watcher_);
}

void ListenGroup::Door::on_ready(std::uint32_t) {
  group_.accept_from(*this);
}

void ListenGroup::accept_from(Door& door) {
  for (int i = 0; i < kAcceptsPerRound; ++i) {
    Socket socket(
        ::accept4(door.socket().number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.open()) {
      hand_over(std::move(socket));
      continue;
    }
    switch (errno) {
      case EAGAIN:
        return;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        pause(errno);
        return;
      default:
        // This one connection failed before it was accepted.
        continue;
    }
  }
  watcher_->nudge(door);
}

void ListenGroup::hand_over(Socket socket) {
  const std::lock_guard lock(mutex_);
  if (seats_.empty()) return;
  const std::shared_ptr<Seat> seat = seats_[next_seat_++ % seats_.size()];
  seat->loop.post([seat, socket = std::move(socket)]() mutable {
    if (seat->taken) seat->on_accept(make_connection(seat->loop, std::move(socket)));
  });
}

void ListenGroup::pause(int error) {
  if (pause_ != TimerId::kNone) return;
  network_.tell(fmt::format("accepting on {} pauses: {}", endpoint_.text(), std::strerror(error)));
  pause_ = watcher_->after(kPause, [this] {
    pause_ = TimerId::kNone;
    for (const auto& door : doors_) accept_from(*door);
  });
}

}  // namespace millrace::env
