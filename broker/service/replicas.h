// replicas.open(log, settings, beginning);   replicas.deliver(key, message, data);
//
// The replicas of one shard and what they have in common: how they reach the others of their
// groups, their deadlines, and who is told when one of them begins or ends to lead.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "broker/cluster/liveness.h"
#include "broker/env/loop.h"
#include "broker/raft/settings.h"
#include "broker/replica/partition.h"
#include "broker/service/neighbours.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

/// Counted since the start, for metrics.
struct ReplicaCounters {
  /// Times that a replica of this shard asked others for their votes in a new term.
  std::uint64_t elections_started = 0;
  /// Times that a replica of this shard began to lead.
  std::uint64_t elections_won = 0;
  /// Times that one that led ended to.
  std::uint64_t leaderships_lost = 0;
  /// Raft messages for replicas that are not here.
  std::uint64_t strays = 0;
  /// Bytes sent to other replicas, and those of them that went to replicas that do not vote.
  std::uint64_t replicated_bytes = 0;
  std::uint64_t catch_up_bytes = 0;
};

/// Shard thread only.
class Replicas final : private replica::Peers {
 public:
  using Map = std::unordered_map<model::PartitionKey, std::unique_ptr<replica::Partition>>;
  /// Told of every change of a replica's role, in order, never from inside of a replica.
  using OnRole = common::Function<void(const model::PartitionKey&, const raft::RoleChange&)>;

  struct Parts {
    env::Loop& loop;
    common::Random& random;
    raft::ReplicaId self;
    raft::Settings raft;
    OnRole on_role;
    /// See replica::Host::note.
    common::Function<void(std::string_view)> note;
  };
  explicit Replicas(Parts parts);
  ~Replicas() override;
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  /// Before any replica of several is opened, or never. nullptr: none any more.
  void set_neighbours(Neighbours* neighbours) { neighbours_ = neighbours; }

  /// Opens a replica that is not open; on_role is told what it began as before this returns.
  replica::Partition& open(storage::Log& log, const model::TopicSettings& settings,
                           const replica::Beginning& beginning);
  /// nullptr: not here.
  replica::Partition* find(const model::PartitionKey& key);
  /// The adopted ones too.
  replica::Partition* find_any(const model::PartitionKey& key);
  const Map& all() const { return replicas_; }
  /// Closes one and lets go of it; nothing happens if it is not here.
  void erase(const model::PartitionKey& key, model::ErrorCode reason);
  /// Closes all, which stay.
  void close(model::ErrorCode reason);

  /// A replica that somebody else owns takes part: the metadata log's. nullptr: no more.
  void adopt(const model::PartitionKey& key, replica::Partition* replica);
  /// What an adopted replica is made with.
  replica::Host& host() { return host_; }

  // ---- What arrives from others.
  void deliver(const model::PartitionKey& key, const raft::Message& message,
               const std::vector<common::Bytes>& data);
  void broker_changed(const cluster::Transition& transition);
  void heard_word(model::BrokerId node, const raft::Word& word);
  void reconnected(model::BrokerId node);
  void heard_of_term(const model::PartitionKey& key, model::Term term);
  /// What this shard's leaders together may send in a second to replicas that are new; 0: no limit.
  /// Each read is paid for before the next one begins.
  void set_move_rate(std::uint64_t bytes_per_second) {
    moves_.set_limits({.reads_max = 1, .bytes_per_second = bytes_per_second});
  }
  const replica::CatchUp& moves() const { return moves_; }
  /// Whether it was told that a broker is not heard.
  bool suspected(model::BrokerId node) const { return suspected_.contains(node); }

  const ReplicaCounters& counters() const { return counters_; }

 private:
  void send(const model::PartitionKey& key, raft::Message message,
            std::vector<common::Bytes> data) override;
  bool has_room(const model::PartitionKey& key, const raft::ReplicaId& to) const override;
  void leadership(const model::PartitionKey& key, const raft::RoleChange& change) override;
  template <typename Call>
  void for_all(Call call);
  void tell_roles();
  void tell_roles_of(const model::PartitionKey& key);
  void drop_news_of(const model::PartitionKey& key);

  env::Loop& loop_;
  raft::Contacts contacts_;
  const raft::Settings raft_;
  OnRole on_role_;
  Neighbours* neighbours_ = nullptr;
  replica::Ticker ticker_;
  replica::CatchUp catch_up_;
  replica::CatchUp moves_;
  replica::Host host_;
  std::set<model::BrokerId> suspected_;
  struct RoleNews {
    model::PartitionKey key;
    raft::RoleChange change;
  };
  void tell(const RoleNews& news);
  std::deque<RoleNews> roles_;
  bool telling_soon_ = false;
  std::unordered_set<model::PartitionKey> leading_;  // as last told
  ReplicaCounters counters_;
  std::unordered_map<model::PartitionKey, replica::Partition*> adopted_;
  Map replicas_;
  /// They may have been on the stack when they were let go of.
  std::vector<std::unique_ptr<replica::Partition>> graves_;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
