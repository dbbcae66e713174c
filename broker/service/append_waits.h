// shard.append_waits().append(partition, std::move(batch), acks, 30s, reply);
//
// Producers that wait until enough replicas have what they wrote, and not for ever.
#pragma once

#include <list>

#include "broker/env/loop.h"
#include "broker/replica/partition.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

/// Loop thread only. The partitions go first.
class AppendWaits {
 public:
  explicit AppendWaits(env::Loop& loop) : loop_(loop) {}

  /// As Partition::append() of a client's batch with acks=all, answered about `limit` later at the
  /// latest: kRequestTimedOut: it is not known what becomes of it; kNotEnoughReplicasAfterAppend:
  /// it is committed, by fewer replicas than min.insync.replicas asks.
  void append(replica::Partition& partition, common::Bytes batch, common::Duration limit,
              common::Reply<replica::AppendOutcome> done);
  std::size_t size() const { return waits_.size(); }

 private:
  struct Wait {
    replica::Partition& partition;  // answers before it goes
    model::Offset start;            // where it was appended, if it was
    common::Instant until;
    common::Reply<replica::AppendOutcome> done;  // used: it was told that it waited too long
  };
  using Place = std::list<Wait>::iterator;
  void finished(Place wait, replica::AppendOutcome outcome);
  void arm();
  void look();

  env::Loop& loop_;
  std::list<Wait> waits_;
  env::TimerId timer_ = env::TimerId::kNone;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
