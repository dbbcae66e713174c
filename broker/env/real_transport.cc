#include "broker/env/real_transport.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/env/listen_group.h"
#include "broker/env/socket.h"

namespace millrace::env {

using common::Error;
using common::Reply;
using common::Result;
using model::ErrorCode;

namespace {

using Answer = Reply<Result<std::unique_ptr<Connection>>>;

// A peer that does not answer at all is given up after this.
constexpr auto kConnectLimit = std::chrono::seconds(10);

class RealListener final : public Listener {
 public:
  RealListener(std::shared_ptr<ListenGroup> group, RealLoop& loop, OnAccept on_accept)
      : group_(std::move(group)),
        seat_(std::make_shared<ListenGroup::Seat>(ListenGroup::Seat{loop, std::move(on_accept)})) {
    group_->enter(seat_);
  }
  ~RealListener() override { group_->leave(seat_); }
  Endpoint endpoint() const override { return group_->endpoint(); }

 private:
  const std::shared_ptr<ListenGroup> group_;
  const std::shared_ptr<ListenGroup::Seat> seat_;
};

}  // namespace

class RealTransport final : public Transport {
 public:
  RealTransport(RealNetwork& network, RealLoop& loop)
      : network_(network), loop_(loop), self_(std::make_shared<RealTransport*>(this)) {}
  ~RealTransport() override {
    *self_ = nullptr;
    const common::RepliesMayDrop nobody_listens;
    attempts_.clear();
  }

  Result<std::unique_ptr<Listener>> listen(const Endpoint& endpoint, OnAccept on_accept) override {
    std::shared_ptr<ListenGroup> group;
    const std::lock_guard lock(network_.mutex_);
    std::erase_if(network_.groups_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : network_.groups_) {
      auto there = weak.lock();
      if (there != nullptr && there->endpoint() == endpoint) group = std::move(there);
    }
    if (group == nullptr) {
      TRY_ASSIGN(group, ListenGroup::open(network_, endpoint));
      network_.groups_.push_back(group);
    }
    return std::unique_ptr<Listener>(
        std::make_unique<RealListener>(std::move(group), loop_, std::move(on_accept)));
  }

  void connect(const Endpoint& endpoint, Answer done) override {
    auto numeric = resolve(endpoint, true);
    if (numeric.ok()) {
      loop_.post([self = self_, addresses = *std::move(numeric), done = std::move(done)]() mutable {
        if (*self != nullptr) return (*self)->begin(std::move(addresses), std::move(done));
        const common::RepliesMayDrop nobody_listens;
        const Answer dropped = std::move(done);
      });
      return;
    }
    network_.resolver_.run(
        [self = self_, loop = &loop_, endpoint, done = std::move(done)]() mutable {
          auto found = resolve(endpoint, false);
          loop->post(
              [self = std::move(self), found = std::move(found), done = std::move(done)]() mutable {
                const common::RepliesMayDrop if_the_transport_is_gone;
                if (*self == nullptr) {
                  const Answer dropped = std::move(done);
                } else if (found.ok()) {
                  (*self)->begin(*std::move(found), std::move(done));
                } else {
                  done(Error{ErrorCode::kNetworkException, found.error().detail});
                }
              });
        });
  }

  std::unique_ptr<Connection> adopt(std::unique_ptr<Connection> connection) override {
    move_connection(*connection, loop_);
    return connection;
  }

 private:
  /// One connect() under way, trying the addresses one after the other.
  class Attempt final : public Watcher {
   public:
    Attempt(RealTransport& owner, std::vector<Address> addresses, Answer done)
        : owner_(owner), addresses_(std::move(addresses)), done_(std::move(done)) {
      timer_ = owner_.loop_.after(kConnectLimit, [this] {
        timer_ = TimerId::kNone;
        failed(ETIMEDOUT);
        next_ = addresses_.size();
        stop_watching();
        try_next();
      });
    }
    ~Attempt() {
      stop_watching();
      owner_.loop_.cancel(timer_);
    }

    void try_next() {
      while (next_ < addresses_.size()) {
        const Address& address = addresses_[next_++];
        socket_ = Socket(
            ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!socket_.open()) {
          failed(errno);
          continue;
        }
        if (::connect(socket_.number(), address.get(), address.length) == 0)
          return owner_.finish(*this);
        if (errno == EINPROGRESS) {
          watched_ = true;
          return owner_.loop_.watch(socket_.number(), EPOLLOUT, *this);
        }
        failed(errno);
      }
      socket_ = Socket();
      owner_.finish(*this);
    }

    void on_ready(std::uint32_t events) override {
      if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
      int error = 0;
      socklen_t length = sizeof(error);
      CHECK(::getsockopt(socket_.number(), SOL_SOCKET, SO_ERROR, &error, &length) == 0);
      stop_watching();
      if (error == 0) return owner_.finish(*this);
      failed(error);
      try_next();
    }

    void answer() {
      if (socket_.open()) return done_(make_connection(owner_.loop_, std::move(socket_)));
      const std::string target = addresses_.empty() ? "nowhere" : addresses_.back().text();
      done_(
          Error{refused_ && !silent_ ? ErrorCode::kConnectionClosed : ErrorCode::kNetworkException,
                fmt::format("cannot connect to {}: {}", target, why_)});
    }

   private:
    // Addresses that this machine has no way to, such as those of IPv6, say nothing about the peer.
    void failed(int error) {
      why_ = error == ETIMEDOUT ? "the peer does not answer" : std::strerror(error);
      refused_ = refused_ || error == ECONNREFUSED;
      silent_ = silent_ || error == ETIMEDOUT || error == EHOSTUNREACH;
    }
    void stop_watching() {
      if (std::exchange(watched_, false)) owner_.loop_.unwatch(socket_.number(), *this);
    }
    RealTransport& owner_;
    const std::vector<Address> addresses_;
    std::size_t next_ = 0;
    Socket socket_;
    bool watched_ = false;
    TimerId timer_ = TimerId::kNone;
    std::string why_;
    bool refused_ = false;  // by one of the addresses
    bool silent_ = false;   // one of them did not answer
    Answer done_;
  };

  void begin(std::vector<Address> addresses, Answer done) {
    attempts_.push_back(std::make_unique<Attempt>(*this, std::move(addresses), std::move(done)));
    attempts_.back()->try_next();
  }

  void finish(Attempt& attempt) {
    const auto found = std::ranges::find(attempts_, &attempt, &std::unique_ptr<Attempt>::get);
    CHECK(found != attempts_.end());
    const std::unique_ptr<Attempt> ended = std::move(*found);
    attempts_.erase(found);
    ended->answer();
  }

  RealNetwork& network_;
  RealLoop& loop_;
  // Tells tasks under way whether this is still there; used on the loop only.
  const std::shared_ptr<RealTransport*> self_;
  std::vector<std::unique_ptr<Attempt>> attempts_;
};

std::unique_ptr<Transport> RealNetwork::join(RealLoop& loop) {
  return std::make_unique<RealTransport>(*this, loop);
}

void RealNetwork::tell(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (notice_) notice_(text);
}

}  // namespace millrace::env
