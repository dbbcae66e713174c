// Use cases: consumer groups and their offsets. Each finds the group's coordinator (the shard that
// leads its partition of __consumer_offsets), asks its machine there, and answers on `here`'s loop
// once the records behind the answer are committed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/coordinator/requests.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// Kafka's rule: Java's String.hashCode of the group modulo the partitions of __consumer_offsets.
model::PartitionIndex coordinator_partition(std::string_view group, std::int32_t partitions);

/// The index of the shard that coordinates the group; nullopt: __consumer_offsets is not there.
std::optional<std::size_t> group_shard(Shard& here, std::string_view group);

/// Makes __consumer_offsets if it is not there; answers when a coordinator can be named.
/// kCoordinatorNotAvailable: not now (no space, shutting down).
void find_coordinator(Shard& here, std::string group, common::Reply<coordinator::Status> done);

/// As above, and names the broker that coordinates the group. kCoordinatorNotAvailable: nobody does
/// now.
struct CoordinatorHome {
  coordinator::Status status;
  model::BrokerId broker{-1};
};
void locate_coordinator(Shard& here, std::string group, common::Reply<CoordinatorHome> done);

/// Errors of all below besides their own: kCoordinatorLoadInProgress, kCoordinatorNotAvailable,
/// kNotCoordinator.
void join_group(Shard& here, coordinator::JoinGroup request,
                common::Reply<coordinator::JoinOutcome> done);
void sync_group(Shard& here, coordinator::SyncGroup request,
                common::Reply<coordinator::SyncOutcome> done);
void heartbeat(Shard& here, coordinator::Heartbeat request,
               common::Reply<coordinator::Status> done);
void leave_group(Shard& here, coordinator::LeaveGroup request,
                 common::Reply<coordinator::LeaveOutcome> done);
void consumer_heartbeat(Shard& here, coordinator::ConsumerHeartbeat request,
                        common::Reply<coordinator::ConsumerHeartbeatOutcome> done);

void commit_offsets(Shard& here, coordinator::OffsetCommit request,
                    common::Reply<coordinator::OffsetCommitOutcome> done);
void fetch_offsets(Shard& here, coordinator::OffsetFetch request,
                   common::Reply<coordinator::OffsetFetchOutcome> done);
void delete_offsets(Shard& here, coordinator::OffsetDelete request,
                    common::Reply<coordinator::OffsetDeleteOutcome> done);

/// All groups of this broker whose state and type are asked for; empty filters: all.
struct GroupFilter {
  std::vector<coordinator::GroupState> states;
  std::vector<coordinator::GroupType> types;
};
void list_groups(Shard& here, GroupFilter filter,
                 common::Reply<common::Result<std::vector<coordinator::GroupSummary>>> done);
/// In the order of the names.
void describe_groups(Shard& here, std::vector<std::string> groups,
                     common::Reply<std::vector<coordinator::GroupDescription>> done);
void delete_groups(Shard& here, std::vector<std::string> groups,
                   common::Reply<std::vector<coordinator::Status>> done);

}  // namespace millrace::service
