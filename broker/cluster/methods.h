// The calls between brokers, by number.
#pragma once

#include <cstdint>

namespace millrace::cluster {

/// A number is never used for something else. The bodies belong to whoever serves the method, and
/// must be readable by older and newer brokers of one cluster.
enum class Method : std::uint16_t {
  /// Records that fit the metadata as of a position, to the leader of the metadata log.
  kProposeRecords = 1,
  /// Who starts with a blank directory, asked of the other first voters.
  kFormation = 2,
  /// Which partitions a broker leads, for the keeper of the cluster. To the first shard.
  kLedPartitions = 3,
  /// To the leader of a partition: that it hands over, or how its group stands.
  kTransferLeader = 4,
  kDescribeGroup = 5,
  /// Where partitions stand that a broker leads. To any of its shards.
  kPartitionFacts = 6,
  /// Whether a broker may stop, to the leader of the metadata log.
  kRestartPermit = 7,
  /// What keeps replicas from moving, to the leader of the metadata log.
  kMoveBlockers = 8,
  /// What a broker has of a partition whose majority is lost, and that it goes on with that. To
  /// the shard of the replica.
  kRemainingReplica = 9,
  kRecoverReplica = 10,
  /// Records for and of partitions that a broker leads, on behalf of a client that came to another
  /// one: batches to append, batches to read, offsets, a new start, producers. To any of its
  /// shards; never passed on.
  kProduce = 11,
  kFetch = 12,
  kListOffsets = 13,
  kDeleteRecords = 14,
  kDescribeProducers = 15,
  /// Of a member of a group that is connected to another broker, to the group's coordinator. Never
  /// passed on.
  kConsumerHeartbeat = 16,
  kCommitOffsets = 17,
  kFetchOffsets = 18,
  /// What a front door asks of the same door of another broker. Never passed on.
  kDoor = 19,
  /// A fetch that waits for news is to answer with what it has.
  kEndFetch = 20,
  /// Where a broker listens, asked of any that may know. To the first shard.
  kWhereabouts = 21,
};

}  // namespace millrace::cluster
