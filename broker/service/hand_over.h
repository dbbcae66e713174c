// Use cases: leadership goes to another replica.
#pragma once

#include <vector>

#include "broker/service/shard.h"

namespace millrace::service {

/// Asks the leader of a partition, wherever it is, to hand over to the replica of a broker; answers
/// on `here`'s loop when it leads no more, or at once where that broker leads already.
/// kLeaderNotAvailable: nobody is known to lead. kReplicaNotAvailable: the broker has no voter of
/// the partition, or one that is not caught up. kReassignmentInProgress: it is handing over.
/// kNotLeaderOrFollower, kRequestTimedOut, kNetworkException ...: it may or may not have moved.
void transfer_leader(Shard& here, const model::PartitionKey& key, model::BrokerId to,
                     common::Duration limit, common::Reply<common::Result<void>> done);

/// Hands over everything that this shard leads and that another replica can take, for a broker that
/// is about to stop; answers how much it leads still, when nothing more goes or after `limit`.
/// `unfit`: brokers that should get nothing. Shard thread.
void hand_over_all(Shard& shard, common::Duration limit, common::Reply<std::size_t> done,
                   std::vector<model::BrokerId> unfit = {});

/// Serves the calls by which brokers ask each other for the above. Once, at the start.
void serve_transfers(Shard& shard);

}  // namespace millrace::service
