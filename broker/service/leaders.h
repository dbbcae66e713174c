// Use case: who leads partitions, as far as this broker knows.
#pragma once

#include <utility>
#include <vector>

#include "broker/service/shard.h"

namespace millrace::service {

struct KnownLeader {
  model::BrokerId leader{-1};  // -1: nobody, as far as is known
  model::Term epoch{-1};       // the newest that was heard of
  std::vector<model::BrokerId> in_sync;
};

/// Whom a client that came to the wrong broker had better ask (KIP-951).
struct LeaderHint {
  model::BrokerId leader{-1};
  model::Term epoch{-1};
};
/// For an error that a wrong or old leader is the reason of; nothing for others. `owner` owns the
/// partition.
LeaderHint leader_hint(Shard& owner, const model::PartitionKey& key, model::ErrorCode code);

/// What `here` itself knows: from the replica, if the partition is of this shard, or from the table
/// of leaders. A hint: its leader may be deposed by now.
KnownLeader known_leader(Shard& here, const model::PartitionKey& key);

/// The brokers of the replicas that a leader finds in sync, by id. A broker that runs with another
/// disk by now is none of them: the replica that was in sync is gone with the old one.
std::vector<model::BrokerId> in_sync_brokers(const Shard& owner, const replica::Partition& leader);

/// In the order of the keys. Where the table of leaders knows nothing, the shards that own the
/// partitions are asked, at the cost of a message to and from each; inline where they need not be.
/// Answers on `here`'s loop.
void known_leaders(Shard& here, std::vector<model::PartitionKey> keys,
                   common::Reply<std::vector<KnownLeader>> done);

/// Runs `then` when each of these partitions has a leader that is known here, at the latest after
/// kLeadersMax or when the broker stops; at once where the broker is alone. For partitions that
/// were just made: whoever is told of them writes to them next. `here`'s loop.
void await_leaders(Shard& here, std::vector<model::PartitionKey> keys,
                   common::Function<void()> then);
inline constexpr auto kLeadersMax = std::chrono::milliseconds(510);
/// Gives the keys back when nobody who was lost a moment ago leads one of these partitions, as far
/// as is known here; at the latest after kSuccessorsMax, and at once where nobody was lost. Clients
/// ask when their connection to a leader breaks, sooner than others can lead; librdkafka believes
/// for a second what it is told then. `here`'s loop.
void await_successors(Shard& here, std::vector<model::PartitionKey> keys,
                      common::Function<void(std::vector<model::PartitionKey>)> then);
inline constexpr auto kSuccessorsMax = std::chrono::milliseconds(254);

/// Whether the replica is one of those that can be asked at once: it follows, or leads and knows
/// what is committed.
bool is_settled(Shard& owner, const model::PartitionKey& key);
inline constexpr auto kSettleMax = std::chrono::milliseconds(500);
/// Runs `then` when it is settled, at the latest after kSettleMax.
void settle(Shard& owner, const model::PartitionKey& key, common::Instant until,
            common::Function<void()> then);
/// Runs `then` at once if it is settled, else as settle(). `owner` owns the partition.
template <typename Then>
void when_settled(Shard& owner, const model::PartitionKey& key, Then then) {
  if (is_settled(owner, key)) return then();
  settle(owner, key, owner.clock().now() + kSettleMax, std::move(then));
}

/// The replica of a partition, leader or not, with the checks that Kafka makes in this order;
/// `owner` owns the partition. kUnknownTopicOrPartition: there is no such partition.
/// kNotLeaderOrFollower: it is on other brokers. kCorruptLog ...: the replica is out of service.
/// kFencedLeaderEpoch, kUnknownLeaderEpoch: `epoch` is another one (-1: not checked).
common::Result<replica::Partition*> replica_of(Shard& owner, const model::PartitionKey& key,
                                               model::Term epoch = model::Term{-1});
/// As above, and kNotLeaderOrFollower: the replica does not lead.
common::Result<replica::Partition*> leader_of(Shard& owner, const model::PartitionKey& key,
                                              model::Term epoch = model::Term{-1});

}  // namespace millrace::service
