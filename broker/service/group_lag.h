// Use cases: how far consumer groups are behind, and which of their members hold partitions that
// nobody fetches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/coordinator/requests.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// A partition that a group has an offset of, or a member of it holds.
struct PartitionLag {
  std::string topic;
  std::int32_t partition = 0;
  coordinator::CommittedOffset committed;  // offset -1: none
  /// Where the log begins and where its readers' end is; -1: the partition is gone.
  model::Offset log_start{-1};
  model::Offset end{-1};
  /// Records from the committed offset (from the log's start, if none was committed or it is below)
  /// to the end. -1: unknown, because the partition is gone.
  std::int64_t lag = -1;
  std::string member;  // who holds it; empty: nobody
  /// Time since anybody last fetched it; nullopt: not since the broker started.
  std::optional<common::Duration> unfetched;
  /// A member holds it and sends heartbeats, records wait, and nobody has fetched them for
  /// group.fetch.silence.ms.
  bool not_fetching = false;
};

struct GroupLag {
  coordinator::GroupDescription group;
  /// In order of topic and partition.
  std::vector<PartitionLag> partitions;
  /// The sum of all known lags.
  std::int64_t lag = 0;
};

/// One group with its members and where each partition stands. The description's status says what
/// went wrong: kGroupIdNotFound, kCoordinatorLoadInProgress ... then there are no partitions.
/// Cost: the group's partitions, one message to and from each shard that owns some.
void describe_group_lag(Shard& here, std::string group, common::Reply<GroupLag> done);

struct TopicLag {
  std::string topic;
  std::int64_t lag = 0;
  struct Partition {
    std::int32_t partition = 0;
    std::int64_t lag = 0;
  };
  std::vector<Partition> partitions;  // in order
  std::int32_t not_fetching = 0;
};
/// One row of group_lags().
struct GroupLagSummary {
  coordinator::GroupSummary group;
  std::int32_t members = 0;
  std::int64_t lag = 0;
  std::int32_t not_fetching = 0;
  /// In order of name; topics that are gone are left out.
  std::vector<TopicLag> topics;
};

/// All groups of this broker in order of name; those whose coordinator still loads are left out.
/// Cost: groups times their partitions, in slices that let other work through.
void group_lags(Shard& here, common::Reply<std::vector<GroupLagSummary>> done);

}  // namespace millrace::service
