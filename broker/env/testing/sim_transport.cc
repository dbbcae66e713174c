#include "broker/env/testing/sim_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace millrace::env::testing {

using common::Error;
using common::Result;
using model::ErrorCode;

/// One connection: two ends, each with the bytes that flow to it.
struct SimNetwork::Link {
  struct Piece {
    std::vector<std::uint8_t> bytes;
    common::Instant due;
    bool last;  // the sender closed after it
  };
  struct End {
    std::string host;
    std::uint16_t port = 0;
    SimLoop* loop = nullptr;
    bool open = true;         // its Connection is still there
    bool broken = false;      // it has seen the connection break
    bool vanished = false;    // its host crashed without a word
    bool peer_ended = false;  // the last piece arrived
    std::deque<Piece> coming;
    std::size_t coming_bytes = 0;
    std::vector<std::uint8_t> arrived;
    std::size_t read = 0;
    Task on_readable;
    Task on_writable;
    std::size_t unread() const { return arrived.size() - read; }
  };
  End ends[2];
};

SimNetwork::SimNetwork(SimWorld& world, SimNetworkOptions options)
    : world_(world), options_(options), random_(world.random().fork()) {}

SimNetwork::~SimNetwork() = default;

class SimConnection final : public Connection {
 public:
  SimConnection(SimNetwork& network, std::shared_ptr<SimNetwork::Link> link, int end)
      : network_(network), link_(std::move(link)), end_(end) {}
  ~SimConnection() override {
    auto& mine = link_->ends[end_];
    mine.open = false;
    mine.on_readable.reset();
    mine.on_writable.reset();
    if (!mine.broken && !mine.loop->stopped()) network_.send(link_, 1 - end_, {}, true);
    const auto gone = [](const auto& link) { return !link->ends[0].open && !link->ends[1].open; };
    std::erase_if(network_.links_, gone);
  }

  void leave() override {
    auto& mine = link_->ends[end_];
    mine.on_readable.reset();
    mine.on_writable.reset();
  }
  void join(SimLoop& loop) { link_->ends[end_].loop = &loop; }

  void when_readable(Task ready) override {
    auto& mine = link_->ends[end_];
    CHECK(!mine.on_readable, "somebody waits already");
    mine.on_readable = std::move(ready);
    if (mine.unread() > 0 || mine.peer_ended || mine.broken) network_.tell(link_, end_, true);
  }

  void when_writable(Task ready) override {
    auto& mine = link_->ends[end_];
    CHECK(!mine.on_writable, "somebody waits already");
    mine.on_writable = std::move(ready);
    if (room() > 0 || mine.broken) network_.tell(link_, end_, false);
  }

  Result<std::size_t> read(common::MutableByteView into) override {
    auto& mine = link_->ends[end_];
    if (mine.broken) return Error{ErrorCode::kConnectionClosed, "the connection broke"};
    const std::size_t count = std::min(into.size(), mine.unread());
    if (count == 0 && mine.peer_ended && !into.empty()) {
      return Error{ErrorCode::kConnectionClosed, "the peer closed the connection"};
    }
    const bool was_full = mine.unread() + mine.coming_bytes >= network_.options_.buffer_bytes;
    if (count > 0) std::memcpy(into.data(), mine.arrived.data() + mine.read, count);
    mine.read += count;
    if (mine.unread() == 0) {
      mine.arrived.clear();
      mine.read = 0;
    }
    if (was_full && count > 0) network_.tell(link_, 1 - end_, false);
    return count;
  }

  Result<std::size_t> write(std::span<const common::ByteView> pieces) override {
    const auto& mine = link_->ends[end_];
    if (mine.broken || mine.peer_ended)
      return Error{ErrorCode::kConnectionClosed, "the peer is gone"};
    std::size_t left = room();
    // A socket takes what it likes.
    if (left > 1 && network_.random_.chance(1, 8)) left = network_.random_.below(left) + 1;
    std::vector<std::uint8_t> taken;
    for (const auto piece : pieces) {
      const std::size_t count = std::min(left, piece.size());
      taken.insert(taken.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
      left -= count;
      if (left == 0) break;
    }
    const std::size_t count = taken.size();
    if (count > 0) network_.send(link_, 1 - end_, std::move(taken), false);
    return count;
  }

  std::string peer() const override {
    const auto& theirs = link_->ends[1 - end_];
    return fmt::format("{}:{}", theirs.host, theirs.port);
  }
  std::string local() const override {
    const auto& mine = link_->ends[end_];
    return fmt::format("{}:{}", mine.host, mine.port);
  }

 private:
  std::size_t room() const {
    const auto& theirs = link_->ends[1 - end_];
    const std::size_t used = theirs.coming_bytes + theirs.unread();
    return used < network_.options_.buffer_bytes ? network_.options_.buffer_bytes - used : 0;
  }

  SimNetwork& network_;
  const std::shared_ptr<SimNetwork::Link> link_;
  const int end_;
};

class SimListener final : public Listener {
 public:
  SimListener(SimNetwork& network, Endpoint endpoint, SimNetwork::PortKey key,
              std::shared_ptr<SimNetwork::Seat> seat)
      : network_(network),
        endpoint_(std::move(endpoint)),
        key_(std::move(key)),
        seat_(std::move(seat)) {}
  ~SimListener() override {
    seat_->taken = false;
    const auto port = network_.ports_.find(key_);
    if (port == network_.ports_.end()) return;
    std::erase(port->second.seats, seat_);
    if (port->second.seats.empty()) network_.ports_.erase(port);
  }
  Endpoint endpoint() const override { return endpoint_; }

 private:
  SimNetwork& network_;
  const Endpoint endpoint_;
  const SimNetwork::PortKey key_;
  const std::shared_ptr<SimNetwork::Seat> seat_;
};

class SimTransport final : public Transport {
 public:
  SimTransport(SimNetwork& network, SimLoop& loop, std::string host)
      : network_(network), loop_(loop), host_(std::move(host)) {}

  Result<std::unique_ptr<Listener>> listen(const Endpoint& endpoint, OnAccept on_accept) override {
    Endpoint real = endpoint;
    if (real.port == 0) real.port = ++network_.last_port_;
    SimNetwork::PortKey key{host_, real.port};
    if (network_.occupied_.contains(key)) {
      return Error{ErrorCode::kAddressInUse,
                   fmt::format("cannot listen on {}: another program has the port", real.text())};
    }
    auto seat = std::make_shared<SimNetwork::Seat>(SimNetwork::Seat{&loop_, std::move(on_accept)});
    network_.ports_[key].seats.push_back(seat);
    return std::unique_ptr<Listener>(
        std::make_unique<SimListener>(network_, real, key, std::move(seat)));
  }

  void connect(const Endpoint& endpoint,
               common::Reply<Result<std::unique_ptr<Connection>>> done) override {
    Endpoint target = endpoint;
    if (target.host.empty() || target.host == "localhost" || target.host == "127.0.0.1")
      target.host = host_;
    network_.start_connecting(loop_, host_, target, std::move(done));
  }

  std::unique_ptr<Connection> adopt(std::unique_ptr<Connection> connection) override {
    static_cast<SimConnection&>(*connection).join(loop_);
    return connection;
  }

 private:
  SimNetwork& network_;
  SimLoop& loop_;
  const std::string host_;
};

std::unique_ptr<Transport> SimNetwork::join(SimLoop& loop, std::string host) {
  return std::make_unique<SimTransport>(*this, loop, std::move(host));
}

common::Duration SimNetwork::delay(const std::string& from, const std::string& to) {
  common::Duration delay{random_.between(options_.delay_min.count(), options_.delay_max.count())};
  if (const auto extra = extra_delays_.find({from, to}); extra != extra_delays_.end())
    delay += extra->second;
  return delay;
}

bool SimNetwork::is_cut(const std::string& from, const std::string& to) const {
  return from != to && cuts_.contains({from, to});
}

void SimNetwork::start_connecting(SimLoop& loop, const std::string& from, const Endpoint& to,
                                  common::Reply<Result<std::unique_ptr<Connection>>> done) {
  const common::Duration round_trip = delay(from, to.host) + delay(to.host, from);
  if (is_cut(from, to.host) || is_cut(to.host, from)) {
    loop.after(options_.stall_max, [to, done = std::move(done)]() mutable {
      done(Error{ErrorCode::kNetworkException,
                 fmt::format("cannot connect to {}: no answer", to.text())});
    });
    return;
  }
  loop.after(round_trip, [this, loop = &loop, from, to, done = std::move(done)]() mutable {
    const auto port = ports_.find({to.host, to.port});
    if (port == ports_.end()) {
      return done(Error{ErrorCode::kConnectionClosed,
                        fmt::format("cannot connect to {}: refused", to.text())});
    }
    const auto seat = port->second.seats[port->second.next++ % port->second.seats.size()];
    auto link = std::make_shared<Link>();
    link->ends[0].host = from;
    link->ends[0].port = ++last_port_;
    link->ends[0].loop = loop;
    link->ends[1].host = to.host;
    link->ends[1].port = to.port;
    link->ends[1].loop = seat->loop;
    links_.push_back(link);
    auto theirs = std::make_unique<SimConnection>(*this, link, 1);
    seat->loop->post([seat, theirs = std::move(theirs)]() mutable {
      if (seat->taken) seat->on_accept(std::move(theirs));
    });
    done(std::unique_ptr<Connection>(std::make_unique<SimConnection>(*this, link, 0)));
  });
}

void SimNetwork::send(const std::shared_ptr<Link>& link, int end, std::vector<std::uint8_t> bytes,
                      bool last) {
  Link::End& to = link->ends[end];
  if (!to.open || to.broken) {
    // Nobody takes the bytes: the sender is told at once, or finds out when they stay
    // unacknowledged.
    if (last) return;
    const auto after = to.vanished ? options_.stall_max : delay(to.host, link->ends[1 - end].host);
    world_.schedule(nullptr, after, [this, link, end] { break_link(link, 1 - end); });
    return;
  }
  common::Instant due = world_.clock().now() + delay(link->ends[1 - end].host, to.host);
  if (!to.coming.empty()) due = std::max(due, to.coming.back().due);
  to.coming_bytes += bytes.size();
  to.coming.push_back({std::move(bytes), due, last});
  world_.schedule(nullptr, due - world_.clock().now(), [this, link, end] { arrive(link, end); });
}

void SimNetwork::arrive(const std::shared_ptr<Link>& link, int end) {
  Link::End& to = link->ends[end];
  const std::string& from = link->ends[1 - end].host;
  bool something = false;
  while (!to.coming.empty() && to.coming.front().due <= world_.clock().now()) {
    Link::Piece& piece = to.coming.front();
    if (is_cut(from, to.host)) {
      // Both sides give up in the end; until then resume() tries again.
      const common::Duration left = piece.due + options_.stall_max - world_.clock().now();
      if (left <= common::Duration{0}) {
        break_link(link, 0);
        break_link(link, 1);
      } else {
        world_.schedule(nullptr, left, [this, link, end] { arrive(link, end); });
      }
      return;
    }
    to.coming_bytes -= piece.bytes.size();
    to.arrived.insert(to.arrived.end(), piece.bytes.begin(), piece.bytes.end());
    to.peer_ended = to.peer_ended || piece.last;
    to.coming.pop_front();
    something = true;
  }
  if (!something) return;
  if (!to.open) {
    // Bytes for a closed socket: the sender learns of it.
    break_link(link, 1 - end);
    return;
  }
  tell(link, end, true);
  if (to.peer_ended) tell(link, end, false);
}

void SimNetwork::resume() {
  const auto links = links_;
  for (const auto& link : links) {
    for (const int end : {0, 1}) arrive(link, end);
  }
}

void SimNetwork::break_link(const std::shared_ptr<Link>& link, int end) {
  Link::End& at = link->ends[end];
  if (at.broken || !at.open) return;
  at.broken = true;
  at.coming.clear();
  at.coming_bytes = 0;
  tell(link, end, true);
  tell(link, end, false);
}

void SimNetwork::tell(const std::shared_ptr<Link>& link, int end, bool reader) {
  Link::End& at = link->ends[end];
  if (!(reader ? at.on_readable : at.on_writable)) return;
  at.loop->post([link, end, reader] {
    Link::End& told = link->ends[end];
    Task ready = std::move(reader ? told.on_readable : told.on_writable);
    if (ready) ready();
  });
}

void SimNetwork::cut(const std::string& from, const std::string& to) {
  cuts_.insert({from, to});
}

void SimNetwork::partition(const std::string& a, const std::string& b) {
  cut(a, b);
  cut(b, a);
}

void SimNetwork::heal(const std::string& from, const std::string& to) {
  cuts_.erase({from, to});
  resume();
}

void SimNetwork::heal_all() {
  cuts_.clear();
  extra_delays_.clear();
  resume();
}

void SimNetwork::slow_down(const std::string& from, const std::string& to, common::Duration extra) {
  extra_delays_[{from, to}] = extra;
}

void SimNetwork::reset_connections(const std::string& a, const std::string& b) {
  const auto links = links_;
  for (const auto& link : links) {
    const std::string& first = link->ends[0].host;
    const std::string& second = link->ends[1].host;
    if (!(first == a && second == b) && !(first == b && second == a)) continue;
    break_link(link, 0);
    break_link(link, 1);
  }
}

void SimNetwork::reset_some(std::uint64_t one_in) {
  const auto links = links_;
  for (const auto& link : links) {
    if (link->ends[0].host == link->ends[1].host || !random_.chance(1, one_in)) continue;
    break_link(link, 0);
    break_link(link, 1);
  }
}

void SimNetwork::crash(const std::string& host, bool told) {
  std::erase_if(ports_, [&host](const auto& port) { return port.first.first == host; });
  const auto links = links_;
  for (const auto& link : links) {
    for (const int end : {0, 1}) {
      if (link->ends[end].host != host) continue;
      break_link(link, end);
      link->ends[1 - end].coming.clear();
      link->ends[1 - end].coming_bytes = 0;
      link->ends[end].open = false;
      link->ends[end].vanished = !told;
      if (told) break_link(link, 1 - end);
    }
  }
}

void SimNetwork::occupy(const std::string& host, std::uint16_t port) {
  occupied_.insert({host, port});
}

std::size_t SimNetwork::connections() const {
  return links_.size();
}

}  // namespace millrace::env::testing
