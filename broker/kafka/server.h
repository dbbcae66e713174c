// Server server({.shard = shard, .transport = transport, .limits = limits, .connections = count,
// .log = log}); TRY_ASSIGN(const env::Endpoint endpoint, server.listen(address));   ...
// server.serve();
//
// The Kafka door of one shard: accepts connections, and holds what they share.
#pragma once

#include <deque>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "broker/env/transport.h"
#include "broker/kafka/connection_count.h"
#include "broker/kafka/fetch_sessions.h"
#include "broker/kafka/limits.h"
#include "broker/kafka/memory.h"
#include "broker/kafka/metrics.h"
#include "broker/kafka/session.h"
#include "broker/service/shard.h"

namespace millrace::kafka {

/// Takes one line, "key=value ...", for the log.
using LogLine = common::Function<void(std::string_view)>;

/// The limits that the broker's settings ask for. `memory_bytes`: what the whole broker may use for
/// buffers, `shards`: how many share it. How many connections may be open can change at run time:
/// the shard's settings say it.
Limits limits_from(const model::BrokerSettings& settings, std::uint64_t memory_bytes,
                   std::size_t shards);

/// Loop thread only. Destroy it after the shard's close() has answered every request, before the
/// shard itself.
class Server {
 public:
  struct Parts {
    service::Shard& shard;
    env::Transport& transport;
    Limits limits;
    std::shared_ptr<ConnectionCount> connections;
    LogLine log;
  };
  explicit Server(Parts parts);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Takes connections from now on; answers the real address. Once for each listener, whose name
  /// says which addresses of brokers its clients are told (Arrival). Nothing is read from them
  /// before serve(): a broker that restarts has its port early and its answers when it knows
  /// everything again.
  common::Result<env::Endpoint> listen(const env::Endpoint& endpoint,
                                       const std::string& listener = std::string(kMainListener));
  /// The servers of all shards, by their index: connections may move to them. Before serve().
  void set_peers(const std::vector<Server*>& servers);
  /// Begins to read requests.
  void serve();
  /// Takes a connection as if it had been accepted.
  void accept(std::unique_ptr<env::Connection> connection,
              const std::string& listener = std::string(kMainListener));
  /// Stops accepting and reading, ends waiting fetches, closes each connection when what it asked
  /// is answered. Calls `drained` once, when no connection is left.
  void drain(common::Function<void()> drained);

  /// What was counted so far. Copy it on the loop.
  const Metrics& metrics_now();

  // For sessions.
  const Context& context() const { return context_; }
  const Limits& limits() const { return limits_; }
  Memory& memory() { return memory_; }
  Metrics& metrics() { return metrics_; }
  common::MutableByteView scratch() { return scratch_.mutable_view(); }
  common::Instant now() const { return shard_.clock().now(); }
  void flush_soon(Session& session);
  /// Called when there is memory again, in the order of these calls.
  void park(Session& session);
  void count_close(const Session& session, CloseReason reason, std::string_view why);
  /// Takes the connection of a session that closed; it is destroyed in a later turn.
  void forget(Session& session, std::unique_ptr<env::Connection> connection);
  void born(Session& session) { alive_.insert(&session); }
  void gone(Session& session) { alive_.erase(&session); }

 private:
  /// How to reach the server of another shard, if it is there still.
  struct Peer {
    Server* server;
    env::Loop* loop;
    std::weak_ptr<bool> here;
  };
  void flush_all();
  void enlist(std::shared_ptr<Session> session);
  std::shared_ptr<Session> unlist(Session& session);
  void bury_soon();
  void move_away(Session& session, std::size_t shard);
  void take_over(Session::Luggage luggage);
  void bury();
  void resume_parked();
  void sweep_soon();
  void sweep();
  void relieve();
  Session* stalled_reader(common::Instant now);
  bool admit(const env::Connection& connection);
  bool log_allowed();

  service::Shard& shard_;
  env::Transport& transport_;
  Limits limits_;
  std::shared_ptr<ConnectionCount> connections_;
  LogLine log_;
  Memory memory_;
  Metrics metrics_;
  FetchSessions fetch_sessions_;
  Context context_;
  common::Bytes scratch_;
  std::vector<Peer> peers_;
  std::vector<std::unique_ptr<env::Listener>> listeners_;
  std::vector<std::shared_ptr<Session>> sessions_;  // open ones
  std::unordered_set<Session*> alive_;              // and those that requests still hold
  std::vector<std::shared_ptr<Session>> flush_;
  std::vector<std::shared_ptr<Session>> flushing_;  // the previous turn's, kept for its capacity
  std::deque<std::shared_ptr<Session>> parked_;
  std::weak_ptr<Session> overdraft_;
  std::vector<std::unique_ptr<env::Connection>> closed_connections_;
  std::vector<std::shared_ptr<Session>> closed_sessions_;
  common::Function<void()> drained_;
  env::TimerId sweep_timer_ = env::TimerId::kNone;
  bool serving_ = false;
  bool draining_ = false;
  bool flush_posted_ = false;
  bool bury_posted_ = false;
  bool resume_posted_ = false;
  std::size_t released_at_sweep_ = 0;
  common::Instant log_second_{};
  int log_lines_ = 0;
  std::uint64_t log_lines_dropped_ = 0;
  // Tasks in the loop that hold this server see when it is gone.
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace millrace::kafka
