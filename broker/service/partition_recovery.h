// recover_partition(here, {.key = key}, [](Result<Recovery> recovery) { ... });
//
// Use case: a partition whose majority is lost for good goes on with what is left of it, because an
// operator said so. What only the lost replicas had committed is lost.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/raft/position.h"
#include "broker/raft/voters.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// What one broker has of a partition.
struct RemainingReplica {
  raft::ReplicaId id;
  raft::Position last;
  raft::VoterSet config;
  /// Its disk may lack a part of what it acknowledged.
  bool unclean = false;
  /// Whom it takes for the leader; none: nobody.
  raft::ReplicaId leader;
  bool votes() const { return config.is_voter(id); }
  bool operator==(const RemainingReplica&) const = default;
};

/// Whose replica should go on. `wanted` nullopt: the one with the furthest log; of equal ones a
/// voter, then the lowest id. kElectionNotNeeded: somebody leads, or the voters that are left are a
/// majority without a doubt and will elect a leader by themselves. kReplicaNotAvailable: nothing is
/// left, or not on the wanted broker. Pure.
common::Result<RemainingReplica> choose_survivor(const std::vector<RemainingReplica>& remaining,
                                                 std::optional<model::BrokerId> wanted);

struct RecoveryWish {
  model::PartitionKey key;
  std::optional<model::BrokerId> broker;
};
struct Recovery {
  model::BrokerId leader{-1};
  /// What there was to choose from.
  std::vector<RemainingReplica> remaining;
};
/// Asks all brokers that are there what they have, chooses, and tells the chosen one; answers on
/// `here`'s loop when it leads. Errors as choose_survivor(); kRequestTimedOut and others of the
/// network: it is not known whether it goes on: ask again.
void recover_partition(Shard& here, RecoveryWish wish,
                       common::Reply<common::Result<Recovery>> done);

/// Serves the calls by which brokers ask each other for the above. Once, at the start.
void serve_recovery(Shard& shard);

/// As the body of an answer: docs/formats/cluster.md; nullopt: nothing. Decoding is safe on any
/// bytes.
common::Bytes encode(const std::optional<RemainingReplica>& remaining);
common::Result<std::optional<RemainingReplica>> decode_remaining(common::ByteView body);

}  // namespace millrace::service
