#include "bench/load/connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bench/load/basics.h"
#include "common/endian.h"

namespace millrace::bench {
namespace {

constexpr std::size_t kAnswerBytesMax = 256 << 20;
constexpr std::size_t kGatherMax = 128;
constexpr int kEventsMax = 256;

std::array<std::uint8_t, kHeadBytes> make_head(Api api, std::int32_t correlation,
                                               std::size_t body_bytes) {
  std::array<std::uint8_t, kHeadBytes> head;
  common::store_big<std::int32_t>(head.data(),
                                  static_cast<std::int32_t>(kHeadBytes - 4 + body_bytes));
  common::store_big<std::int16_t>(head.data() + 4, api.key);
  common::store_big<std::int16_t>(head.data() + 6, api.version);
  common::store_big<std::int32_t>(head.data() + 8, correlation);
  return head;
}

std::size_t answer_size(const std::uint8_t* at) {
  const auto size = common::load_big<std::int32_t>(at);
  if (size < 4 || static_cast<std::size_t>(size) > kAnswerBytesMax)
    fail("an answer of {} bytes", size);
  return static_cast<std::size_t>(size);
}

}  // namespace

int dial(const Endpoint& endpoint) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket: {}", std::strerror(errno));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  inet_pton(AF_INET, endpoint.host.c_str(), &address.sin_addr);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

Session::Session(const Endpoint& endpoint, std::chrono::milliseconds timeout)
    : fd_(dial(endpoint)) {
  if (fd_ < 0) return;
  const timeval limit{timeout.count() / 1000, (timeout.count() % 1000) * 1000};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

Session::~Session() {
  if (fd_ >= 0) close(fd_);
}

bool Session::receive(common::MutableByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t got = recv(fd_, bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

std::optional<Buffer> Session::call(Api api, const Buffer& body) {
  return ask(api, body) ? answer() : std::nullopt;
}

bool Session::ask(Api api, const Buffer& body) {
  const auto head = make_head(api, ++correlation_, body.size());
  Buffer request(head.begin(), head.end());
  request.insert(request.end(), body.begin(), body.end());
  for (std::size_t sent = 0; sent < request.size();) {
    const ssize_t n = send(fd_, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool Session::wait(std::chrono::milliseconds time) const {
  pollfd readable{.fd = fd_, .events = POLLIN, .revents = 0};
  return poll(&readable, 1, static_cast<int>(time.count())) > 0;
}

std::optional<Buffer> Session::answer() {
  std::uint8_t front[8];
  if (!receive(front)) return std::nullopt;
  if (common::load_big<std::int32_t>(front + 4) != correlation_)
    fail("an answer to another request");
  Buffer answer(answer_size(front) - 4);
  if (!receive(answer)) return std::nullopt;
  return answer;
}

Connection::Connection(const Endpoint& endpoint, std::size_t read_bytes)
    : fd_(dial(endpoint)), incoming_(read_bytes) {
  if (fd_ < 0) fail("{}:{}: {}", endpoint.host, endpoint.port, std::strerror(errno));
  fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

Connection::~Connection() {
  close(fd_);
}

void Connection::queue(Api api, std::int32_t correlation, common::ByteView body) {
  outgoing_.push_back({make_head(api, correlation, body.size()), body});
}

int Connection::flush() {
  int finished = 0;
  while (!outgoing_.empty()) {
    std::array<iovec, kGatherMax> parts;
    std::size_t count = 0;
    std::size_t skip = front_sent_;
    for (auto it = outgoing_.begin(); it != outgoing_.end() && count + 2 <= kGatherMax; ++it) {
      const std::size_t head_skip = std::min(skip, kHeadBytes);
      if (head_skip < kHeadBytes)
        parts[count++] = {it->head.data() + head_skip, kHeadBytes - head_skip};
      const std::size_t body_skip = skip - head_skip;
      parts[count++] = {const_cast<std::uint8_t*>(it->body.data()) + body_skip,
                        it->body.size() - body_skip};
      skip = 0;
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t n = sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) return finished;
      fail("send: {}", std::strerror(errno));
    }
    front_sent_ += static_cast<std::size_t>(n);
    while (!outgoing_.empty() && front_sent_ >= kHeadBytes + outgoing_.front().body.size()) {
      front_sent_ -= kHeadBytes + outgoing_.front().body.size();
      outgoing_.pop_front();
      ++finished;
    }
  }
  return finished;
}

std::size_t Connection::read_some(common::MutableByteView bytes) {
  const ssize_t n = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (n > 0) return static_cast<std::size_t>(n);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  fail("the broker closed a connection{}{}", n < 0 ? ": " : "", n < 0 ? std::strerror(errno) : "");
}

void Connection::read_answers(const std::function<void(common::ByteView)>& on_answer) {
  incoming_size_ +=
      read_some({incoming_.data() + incoming_size_, incoming_.size() - incoming_size_});
  std::size_t at = 0;
  while (incoming_size_ - at >= 4) {
    const std::size_t size = answer_size(incoming_.data() + at);
    if (size + 4 > incoming_.size()) incoming_.resize(size + 4 + kReadBytes);
    if (incoming_size_ - at < size + 4) break;
    on_answer({incoming_.data() + at + 4, size});
    at += size + 4;
  }
  incoming_size_ -= at;
  if (at > 0) std::memmove(incoming_.data(), incoming_.data() + at, incoming_size_);
}

Poller::Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
  if (fd_ < 0) fail("epoll: {}", std::strerror(errno));
}

Poller::~Poller() {
  close(fd_);
}

void Poller::control(int operation, int fd, std::uint32_t tag, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = tag;
  if (epoll_ctl(fd_, operation, fd, &event) != 0) fail("epoll: {}", std::strerror(errno));
}

void Poller::add(int fd, std::uint32_t tag) {
  control(EPOLL_CTL_ADD, fd, tag, EPOLLIN);
}

void Poller::watch_writable(int fd, std::uint32_t tag, bool wanted) {
  control(EPOLL_CTL_MOD, fd, tag, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

std::span<const Poller::Ready> Poller::wait(std::chrono::nanoseconds timeout) {
  epoll_event events[kEventsMax];
  const std::int64_t ns = std::max<std::int64_t>(timeout.count(), 0);
  const timespec limit{ns / 1'000'000'000, ns % 1'000'000'000};
  const int count = epoll_pwait2(fd_, events, kEventsMax, &limit, nullptr);
  if (count < 0 && errno != EINTR) fail("epoll: {}", std::strerror(errno));
  ready_.clear();
  for (int i = 0; i < count; ++i) {
    const std::uint32_t what = events[i].events;
    ready_.push_back({events[i].data.u32, (what & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0,
                      (what & EPOLLOUT) != 0});
  }
  return ready_;
}

}  // namespace millrace::bench
