// Listening sockets that several shards share. Private to the real transport.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "broker/env/real_transport.h"
#include "broker/env/socket.h"

namespace millrace::env {

/// The sockets of one endpoint (one per address that its host has) and the listeners that take
/// their connections in turn. The sockets are watched by the loop of the listener that came first;
/// when it leaves, by the next one's.
class ListenGroup final : public std::enable_shared_from_this<ListenGroup> {
 public:
  /// One listener's place. Emptied by its listener on its loop.
  struct Seat {
    RealLoop& loop;
    OnAccept on_accept;
    bool taken = true;
  };

  /// Binds and listens. kAddressInUse: somebody else listens there.
  static common::Result<std::shared_ptr<ListenGroup>> open(RealNetwork& network,
                                                           const Endpoint& endpoint);
  ~ListenGroup();
  ListenGroup(const ListenGroup&) = delete;
  ListenGroup& operator=(const ListenGroup&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }
  /// On the seat's loop, or while that does not run.
  void enter(std::shared_ptr<Seat> seat);
  void leave(const std::shared_ptr<Seat>& seat);

 private:
  class Door final : public Watcher {
   public:
    Door(ListenGroup& group, Socket socket) : group_(group), socket_(std::move(socket)) {}
    void on_ready(std::uint32_t events) override;
    const Socket& socket() const { return socket_; }

   private:
    ListenGroup& group_;
    Socket socket_;
  };

  ListenGroup(RealNetwork& network, Endpoint endpoint)
      : network_(network), endpoint_(std::move(endpoint)) {}
  common::Result<void> bind_all(std::vector<Address> addresses);
  void accept_from(Door& door);
  void hand_over(Socket socket);
  void pause(int error);
  void watch(RealLoop& loop);

  RealNetwork& network_;
  Endpoint endpoint_;
  std::vector<std::unique_ptr<Door>> doors_;
  TimerId pause_ = TimerId::kNone;  // of the watching loop

  std::mutex mutex_;  // guards the three below
  std::vector<std::shared_ptr<Seat>> seats_;
  std::size_t next_seat_ = 0;
  RealLoop* watcher_ = nullptr;
};

}  // namespace millrace::env
