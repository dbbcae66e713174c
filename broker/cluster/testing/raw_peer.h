// RawPeer peer(cluster, "evil");   peer.connect("b1");   peer.send(bytes);
//
// Somebody who speaks to brokers byte by byte.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/cluster/frames.h"
#include "broker/cluster/testing/sim_cluster.h"

namespace millrace::cluster::testing {

class RawPeer {
 public:
  RawPeer(SimCluster& cluster, std::string host)
      : cluster_(cluster),
        loop_(cluster.world.make_loop()),
        transport_(cluster.network.join(loop_, std::move(host))) {}

  /// Waits until it is done.
  void connect(const std::string& host) {
    closed_ = false;
    connection_.reset();
    received_.clear();
    transport_->connect({host, SimCluster::kPort},
                        [this](Result<std::unique_ptr<env::Connection>> made) {
                          connection_ = std::move(made).value();
                          listen();
                        });
    CHECK(cluster_.run_until([this] { return connection_ != nullptr; }));
  }
  /// Requires that they fit the connection's buffer.
  void send(ByteView bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ByteView rest = bytes.subspan(sent);
      const auto count = connection_->write(std::span(&rest, 1));
      if (!count.ok()) return;
      CHECK(*count > 0);
      sent += *count;
    }
  }
  /// The other end closed it, or it broke.
  bool closed() const { return closed_; }
  void close() { connection_.reset(); }
  /// The frames without data that came so far, as heads and bodies.
  struct Frame {
    FrameHead head;
    Bytes body;
  };
  std::vector<Frame> frames() const {
    std::vector<Frame> frames;
    ByteView rest = received_;
    while (rest.size() >= kHeadBytes) {
      const auto head = read_head(rest, 0);
      if (!head.ok() || rest.size() < kHeadBytes + head->body_bytes) break;
      frames.push_back({*head, Bytes::copy_of(rest.subspan(kHeadBytes, head->body_bytes))});
      rest = rest.subspan(kHeadBytes + head->body_bytes);
    }
    return frames;
  }
  /// A hello that broker `to` lets in.
  Hello hello(std::int32_t node, std::int32_t to) {
    Hello hello;
    hello.who.cluster_id = "simulated";
    hello.who.node = model::BrokerId{node};
    hello.who.directory = common::Uuid::random(cluster_.world.random());
    hello.who.incarnation = common::Uuid::random(cluster_.world.random());
    hello.to = model::BrokerId{to};
    return hello;
  }

 private:
  void listen() {
    connection_->when_readable([this] {
      std::uint8_t bytes[4096];
      const auto count = connection_->read(bytes);
      if (!count.ok()) {
        closed_ = true;
        return;
      }
      received_.insert(received_.end(), bytes, bytes + *count);
      listen();
    });
  }

  SimCluster& cluster_;
  env::testing::SimLoop& loop_;
  std::unique_ptr<env::Transport> transport_;
  std::unique_ptr<env::Connection> connection_;
  std::vector<std::uint8_t> received_;
  bool closed_ = false;
};

}  // namespace millrace::cluster::testing
