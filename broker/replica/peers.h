// peers.send(key, std::move(message), {batches});
//
// The other replicas of this shard's groups, as a replica sees them. What carries the messages is
// not this module's business.
#pragma once

#include <vector>

#include "broker/model/ids.h"
#include "broker/raft/messages.h"
#include "broker/raft/ready.h"
#include "common/bytes.h"

namespace millrace::replica {

/// One per shard, used on its thread. Nothing here calls back into a replica before it returns.
class Peers {
 public:
  virtual ~Peers() = default;
  /// Brings the message to the replica `message.to` of this partition, or loses it. `data`: the
  /// whole batches of an Append, which share memory with the log; or the producers' snapshot of an
  /// Install, one piece. Empty with any other message.
  virtual void send(const model::PartitionKey& key, raft::Message message,
                    std::vector<common::Bytes> data) = 0;
  /// Whether so little waits on the way to this replica that old data may be sent to it: what does
  /// not get through would have been read in vain.
  virtual bool has_room(const model::PartitionKey& key, const raft::ReplicaId& to) const = 0;
  /// The role of this broker's replica of the partition is another one now, or its leader is.
  virtual void leadership(const model::PartitionKey& key, const raft::RoleChange& change) = 0;
};

/// Of a broker that is alone.
class NoPeers final : public Peers {
 public:
  void send(const model::PartitionKey&, raft::Message, std::vector<common::Bytes>) override {}
  bool has_room(const model::PartitionKey&, const raft::ReplicaId&) const override { return true; }
  void leadership(const model::PartitionKey&, const raft::RoleChange&) override {}
};

}  // namespace millrace::replica
