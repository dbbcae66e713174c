// Use cases: what a member of a group asks of its coordinator, wherever that is. For members that
// live in the broker (group_member.h); others find their coordinator themselves.
#pragma once

#include "broker/service/groups.h"

namespace millrace::service {

/// As those of groups.h, which they are where this broker coordinates the group. An answer that did
/// not come is kCoordinatorNotAvailable: what was asked may have happened or not.
void consumer_heartbeat_anywhere(Shard& here, coordinator::ConsumerHeartbeat request,
                                 common::Reply<coordinator::ConsumerHeartbeatOutcome> done);
void commit_offsets_anywhere(Shard& here, coordinator::OffsetCommit request,
                             common::Reply<coordinator::OffsetCommitOutcome> done);
void fetch_offsets_anywhere(Shard& here, coordinator::OffsetFetch request,
                            common::Reply<coordinator::OffsetFetchOutcome> done);

/// Serves the calls by which brokers ask each other for the above. Once, at the start.
void serve_members(Shard& shard);

}  // namespace millrace::service
