// if (auto report = report_on(partition, clock)) answer(encode(*report));
//
// How a Raft group stands, as its leader sees it: for DescribeQuorum, for those who ask why, and
// for replicas that want to know whether they still belong to it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/model/ids.h"
#include "broker/raft/voters.h"
#include "broker/replica/partition.h"
#include "broker/service/shard.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/result.h"

namespace millrace::service {

struct GroupMember {
  raft::ReplicaId id;
  bool votes = false;
  bool in_sync = false;
  /// What it holds ends here, as far as the leader was told.
  model::Offset end;
  /// Since it last answered, and since it had everything; -1: never.
  std::int64_t silent_ms = -1;
  std::int64_t behind_ms = -1;
  bool operator==(const GroupMember&) const = default;
};

struct GroupReport {
  raft::ReplicaId leader;
  model::Term term;
  raft::ConfigId config;
  model::Offset log_start;
  model::Offset commit;
  model::Offset log_end;
  /// See is_agreed().
  bool agreed = false;
  std::vector<GroupMember> members;  // the leader among them
  bool operator==(const GroupReport&) const = default;

  bool has(const raft::ReplicaId& replica) const;
};

/// Whether a majority of the voters know that they are the voters, and hold all that is committed.
/// Before that the voter set of before may still elect a leader, and so may need a replica that is
/// left out now: that one must not go yet. Requires that the group is led here.
bool is_agreed(const raft::Group& group);

/// nullopt: this replica does not lead, or is not confirmed.
std::optional<GroupReport> report_on(const replica::Partition& partition, common::Instant now);

/// As the body of a call's answer: docs/formats/cluster.md.
common::Bytes encode(const GroupReport& report);
/// kCorruptMessage, kUnsupportedVersion. Safe on any bytes.
common::Result<GroupReport> decode_group_report(common::ByteView body);

/// Asks the leader of a partition, wherever it is; answers on `here`'s loop. kLeaderNotAvailable:
/// nobody is known to lead. kNotLeaderOrFollower, kRequestTimedOut, kNetworkException ...: try
/// again.
void describe_group(Shard& here, const model::PartitionKey& key, common::Duration limit,
                    common::Reply<common::Result<GroupReport>> done);

/// Serves the calls by which brokers ask each other for the above. Once, at the start.
void serve_group_reports(Shard& shard);

}  // namespace millrace::service
