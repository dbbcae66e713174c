// SimNetwork network(world);   auto transport = network.join(loop, "broker-1");
// network.partition("broker-1", "broker-2");
//
// A network whose links delay, stall and break.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/env/testing/sim_world.h"
#include "broker/env/transport.h"

namespace millrace::env::testing {

struct SimNetworkOptions {
  common::Duration delay_min = std::chrono::microseconds(30);
  common::Duration delay_max = std::chrono::microseconds(300);
  /// Bytes that one direction of a connection takes before its reader has read them.
  std::size_t buffer_bytes = 256 * 1024;
  /// A connection whose bytes cannot get through for so long is broken.
  common::Duration stall_max = std::chrono::seconds(15);
};

/// Hosts, each with any number of transports, and streams between them. Bytes of one direction
/// arrive in order, each piece after a random delay, or not at all while the way is cut: then they
/// wait, as TCP would send them again. Loop-back connections of one host are never cut.
class SimNetwork {
 public:
  explicit SimNetwork(SimWorld& world, SimNetworkOptions options = {});
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  /// A transport of the host. Endpoints with an empty host, "localhost" or "127.0.0.1" mean the
  /// host itself.
  std::unique_ptr<Transport> join(SimLoop& loop, std::string host);

  /// Nothing gets from one to the other until heal(); the other way works.
  void cut(const std::string& from, const std::string& to);
  /// Cuts both ways.
  void partition(const std::string& a, const std::string& b);
  void heal(const std::string& from, const std::string& to);
  void heal_all();
  /// Adds this to every delay from one host to another.
  void slow_down(const std::string& from, const std::string& to, common::Duration extra);
  /// Breaks every connection between the two: both ends see kConnectionClosed, and bytes under way
  /// are lost.
  void reset_connections(const std::string& a, const std::string& b);
  /// Breaks connections with any other host, one in so many. For random faults.
  void reset_some(std::uint64_t one_in);
  /// The host is gone without a word: its listeners vanish, its bytes under way are lost, its peers
  /// see a broken connection if `told`, or nothing until their own bytes stall. It may join again.
  void crash(const std::string& host, bool told);
  /// Somebody else's program takes the port: listen() answers kAddressInUse.
  void occupy(const std::string& host, std::uint16_t port);
  /// Live connections, counted once.
  std::size_t connections() const;

 private:
  friend class SimTransport;
  friend class SimListener;
  friend class SimConnection;
  struct Link;
  struct Seat {
    SimLoop* loop;
    OnAccept on_accept;
    bool taken = true;
  };
  struct Port {
    std::vector<std::shared_ptr<Seat>> seats;
    std::size_t next = 0;
  };
  using PortKey = std::pair<std::string, std::uint16_t>;
  using Way = std::pair<std::string, std::string>;

  common::Duration delay(const std::string& from, const std::string& to);
  bool is_cut(const std::string& from, const std::string& to) const;
  void send(const std::shared_ptr<Link>& link, int end, std::vector<std::uint8_t> bytes, bool last);
  void arrive(const std::shared_ptr<Link>& link, int end);
  void resume();
  void break_link(const std::shared_ptr<Link>& link, int end);
  void tell(const std::shared_ptr<Link>& link, int end, bool reader);
  void start_connecting(SimLoop& loop, const std::string& from, const Endpoint& to,
                        common::Reply<common::Result<std::unique_ptr<Connection>>> done);

  SimWorld& world_;
  const SimNetworkOptions options_;
  common::Random random_;
  std::map<PortKey, Port> ports_;
  std::set<PortKey> occupied_;
  std::set<Way> cuts_;
  std::map<Way, common::Duration> extra_delays_;
  std::vector<std::shared_ptr<Link>> links_;
  std::uint16_t last_port_ = 40'000;
};

}  // namespace millrace::env::testing
