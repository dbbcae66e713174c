// locate_groups(owner, *coordinator, which, reply);
//
// Where the groups of one coordinator stand: what they committed, who holds what, how far the
// partitions go. What lag and silence are told from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/coordinator/requests.h"
#include "broker/service/partition_facts.h"

namespace millrace::service {

class GroupCoordinator;

/// A partition that a group has an offset of, or a member of it holds.
struct GroupPosition {
  std::string topic;
  std::int32_t partition = 0;
  coordinator::CommittedOffset committed;  // offset -1: none
  std::string member;                      // who holds it; empty: nobody
  /// nullopt: the partition is gone.
  std::optional<PartitionFacts> facts;

  /// Records that the group has still to read: from the committed offset, or from the log's start
  /// where there is none or it is below. -1: unknown.
  std::int64_t lag() const;
};

struct GroupPositions {
  coordinator::GroupDescription group;
  std::vector<GroupPosition> positions;  // in order of topic and partition
};

struct WhichGroups {
  std::optional<std::string> name;  // nullopt: all
  bool with_members_only = false;
};

/// On the loop of the coordinator's shard, where it answers too. Nothing of a coordinator that does
/// not serve. A single group that is not there: one row whose description says so.
void locate_groups(Shard& owner, const GroupCoordinator& coordinator, const WhichGroups& which,
                   common::Reply<std::vector<GroupPositions>> done);

}  // namespace millrace::service
