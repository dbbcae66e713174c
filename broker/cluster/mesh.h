// mesh.send(node, key, message, std::move(batches));
// mesh.announce(key, {.leader = self, .term = term, .in_sync = replicas});
// mesh.call(node, 0, Method::kProposeRecords, body, 5s, [](Result<Bytes> answer) { ... });
//
// How one shard reaches the shards of other brokers, and what they send to it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/cluster/elsewhere.h"
#include "broker/cluster/introduction.h"
#include "broker/cluster/leader_table.h"
#include "broker/cluster/link.h"
#include "broker/cluster/liveness.h"
#include "broker/cluster/methods.h"
#include "broker/cluster/metrics.h"
#include "broker/cluster/settings.h"
#include "broker/env/loop.h"
#include "broker/env/transport.h"
#include "broker/raft/messages.h"
#include "common/random.h"
#include "common/reply.h"

namespace millrace::cluster {

using common::Bytes;
using common::Result;

class Hub;
class Inbound;

/// A call of another shard, or of a shard of this broker.
struct Request {
  model::BrokerId from{-1};
  std::uint32_t from_shard = 0;
  Method method{};
  Bytes body;
  /// When the caller stops waiting, by this shard's clock.
  Instant deadline{};
};

/// What arrives for one shard. All calls on its loop.
class MeshHandler {
 public:
  virtual ~MeshHandler() = default;
  /// A message for a replica of this shard, from the replica and to the replica that it names.
  /// `data`: what was handed to send() with it, in the same pieces (of more than kPiecesMax the
  /// last ones come as one); the pieces of one message share one block of memory, which nothing
  /// else uses. Neither the message nor batches among the data are checked yet.
  virtual void on_raft(const model::PartitionKey& group, raft::Message message,
                       std::vector<Bytes> data) = 0;
  /// To be answered on this loop, sooner or later. The caller may be gone by then.
  virtual void on_request(Request request, common::Reply<Result<Bytes>> reply) = 0;
  /// See Transition. Comes before anything that depends on it.
  virtual void on_transition(const Transition& transition) = 0;
  /// What a broker says of this one with each heartbeat, between its kAlive and its next kSuspect.
  virtual void on_word(model::BrokerId node, const raft::Word& word) = 0;
  /// A connection to a shard of this broker broke and is there again: messages may have been lost,
  /// and groups need not wait until they notice.
  virtual void on_reconnect(model::BrokerId node) = 0;
  /// Another shard or broker says who leads; leaders() knows it already.
  virtual void on_leadership(const model::PartitionKey& group, const Leadership& leadership) = 0;
};

/// The shard of a partition on a broker with so many shards: the same function on all brokers.
using ShardOf = std::uint32_t (*)(const model::PartitionKey& key, std::uint32_t shards);

/// For so long a broker counts as just lost.
inline constexpr auto kLostMax = std::chrono::seconds(1);

/// One shard's connections: an outgoing one to each shard of each other broker that it has
/// something to send to, and those that come in. What is sent in one turn of the loop leaves
/// together. Used on its loop, or while that does not run.
class Mesh final : private LinkOwner {
 public:
  struct Parts {
    std::uint32_t shard = 0;
    env::Loop& loop;
    env::Transport& transport;
    const Settings& settings;  // outlives it, as all of these
    MeshHandler& handler;
    ShardOf shard_of;
    common::Random random;
  };
  explicit Mesh(Parts parts);
  /// Calls under way are dropped unanswered: close() first, where somebody still listens.
  ~Mesh() override;
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  /// Sends one message to its replica: `message.from` is of this broker, `message.to` of `node`.
  /// `data`: whole batches of an Append, or the snapshot of an Install; shared, never copied. May
  /// get lost: if the broker is not connected, if too much waits already, or on the way.
  void send(model::BrokerId node, const model::PartitionKey& group, const raft::Message& message,
            std::vector<Bytes> data);

  /// Whether less than half of what may wait for the shard of this group over there does.
  bool has_room(model::BrokerId node, const model::PartitionKey& group) const;

  /// Tells all shards of all brokers who leads a partition of this shard, at the end of the turn.
  /// The version is counted here.
  void announce(const model::PartitionKey& group, Leadership leadership);

  /// Asks a shard of a broker, this one included. Surely not done: kBrokerNotAvailable (not
  /// connected), kMemoryExhausted (too much waits), kMessageTooLarge, kShuttingDown. Perhaps done:
  /// kNetworkException (the connection broke), kRequestTimedOut. Anything else is the answer of
  /// who was asked.
  void call(model::BrokerId node, std::uint32_t shard, Method method, Bytes body, Duration timeout,
            common::Reply<Result<Bytes>> reply);

  /// Who leads what, as this shard has heard.
  const LeaderTable& leaders() const { return leaders_; }
  /// A topic was deleted. On every shard.
  void forget_topic(const model::TopicId& topic, std::int32_t partitions) {
    leaders_.forget(topic, partitions);
  }
  /// As the transitions have told this shard. Of a broker of which none has told yet neither holds.
  bool alive(model::BrokerId node) const;
  bool suspected(model::BrokerId node) const;
  /// A connection to it or from it broke less than kLostMax ago and is not there again, or it is
  /// suspected since then: it may be dead, and others may not lead in its place yet.
  bool just_lost(model::BrokerId node) const;
  /// Whether that is so of any broker.
  bool lost_any() const;
  /// How the running process of a broker introduced itself; nullptr: not alive.
  std::shared_ptr<const Introduction> introduction(model::BrokerId node) const;

  /// This shard has too much to do, or no memory: no new messages and calls are read until
  /// resume_input(), so that the senders wait. Heartbeats and answers still come.
  void pause_input();
  void resume_input();

  /// The shard stops: calls under way are answered kShuttingDown, nothing is sent or taken any
  /// more.
  void close();

  std::uint32_t shard() const { return shard_; }
  env::Loop& loop() { return loop_; }
  const MeshMetrics& metrics_now();

 private:
  friend class Hub;
  friend class Inbound;
  struct Way {
    std::unique_ptr<Link> link;
    bool was_open = false;  // since the broker came to life
  };
  struct Known {
    std::shared_ptr<const Introduction> who;
    std::vector<env::Endpoint> endpoints;
    bool alive = false;
    bool suspected = false;
    std::optional<Instant> lost_at;  // until it is there again
    std::vector<Way> ways;           // by the shard they lead to; made when they are needed
  };
  using Entries = std::shared_ptr<const std::vector<LeaderEntry>>;

  // For the hub, which posts them.
  void attach(std::vector<Elsewhere<Mesh>> shards, Elsewhere<Hub> hub);
  void introduce(std::shared_ptr<const Introduction> self);
  void take_transition(const Transition& transition, std::shared_ptr<const Introduction> who);
  void take_word(model::BrokerId node, const raft::Word& word);
  void take_farewell(model::BrokerId node);
  void take_endpoints(model::BrokerId node, std::vector<env::Endpoint> endpoints);
  bool is_lost(const Known& known) const;
  void note_lost(model::BrokerId node);
  void take_connection(std::unique_ptr<env::Connection> connection,
                       std::shared_ptr<const Introduction> who, std::uint32_t from_shard,
                       std::uint8_t version);
  void take_leaders(const Entries& entries);

  // For what comes in.
  void deliver(const model::PartitionKey& group, raft::Message message, std::vector<Bytes> data);
  void serve(Request request, common::Reply<Result<Bytes>> reply);
  void lost(Inbound& inbound);

  bool on_greeted(Link& link, const Introduction& who) override;
  void on_open(Link& link) override;
  void on_down(Link& link, LinkEnd end, const std::string& why) override;

  bool reachable(model::BrokerId node) const;
  Link& link_to(model::BrokerId node, Known& known, std::uint32_t shard);
  void rest_links(Known& known, const common::Error& why);
  template <typename Predicate>
  void close_inbounds(Predicate predicate);
  void call_here(std::uint32_t shard, Method method, Bytes body, Duration timeout,
                 common::Reply<Result<Bytes>> reply);
  void send_announcements();
  Elsewhere<Mesh> elsewhere() { return {*this, loop_, here_}; }

  const std::uint32_t shard_;
  env::Loop& loop_;
  env::Transport& transport_;
  const Settings& settings_;
  MeshHandler& handler_;
  const ShardOf shard_of_;
  common::Random random_;
  MeshMetrics metrics_;
  StreamPool pool_;
  LeaderTable leaders_;
  Calls calls_here_;  // between shards of this broker
  std::shared_ptr<const Introduction> self_;
  std::vector<Elsewhere<Mesh>> shards_;
  Elsewhere<Hub> hub_;
  std::map<model::BrokerId, Known> known_;
  std::vector<std::unique_ptr<Inbound>> inbounds_;
  std::vector<LeaderEntry> announced_;  // in this turn
  bool closed_ = false;
  const std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace millrace::cluster
