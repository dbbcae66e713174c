// const Assignor assignor = find_assignor("uniform");
// const Shares targets = assignor(input);      // targets[i]: the partitions of input.members[i]
//
// How a consumer group's partitions are shared out (KIP-848's server-side assignors). Pure
// functions: the same input gives the same output, whatever the order of hash tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/coordinator/holding.h"
#include "broker/model/ids.h"

namespace millrace::coordinator {

struct AssignorTopic {
  model::TopicId id;
  std::int32_t partitions = 0;
  /// Racks of each partition's replicas; empty, or shorter than partitions: not known.
  const std::vector<std::vector<std::string>>* racks = nullptr;
};

struct AssignorMember {
  std::string_view name;
  std::string_view instance;       // empty: a dynamic member
  std::string_view rack;           // empty: none
  std::uint32_t subscription = 0;  // index into AssignorInput::subscriptions
  /// Its target so far. May name partitions that are gone or no longer subscribed, and may overlap
  /// with other members': the first member of the input keeps those.
  PartitionList before;
};

struct AssignorInput {
  std::vector<AssignorTopic> topics;  // ascending ids, distinct
  /// Sets of topics: ascending indexes into topics. Members with the same set share one entry.
  std::vector<std::vector<std::uint32_t>> subscriptions;
  std::vector<AssignorMember> members;  // ascending names, distinct
};

/// For each member its partitions. Every partition of a subscribed topic is given to exactly one
/// member that subscribes to it.
using Shares = std::vector<PartitionList>;
using Assignor = Shares (*)(const AssignorInput& input);

/// Loads differ as little as subscriptions allow: by at most one partition where all members
/// subscribe to the same topics; else no single partition can be moved to a member that has at
/// least two fewer than its owner. Sticky: no more partitions move than that takes (exactly so
/// where all subscribe to the same). Among members that may get a partition, one in the rack of a
/// replica is preferred, at no price in balance or moves. Cost: O(partitions + members) for equal
/// subscriptions.
Shares assign_uniform(const AssignorInput& input);

/// Per topic every subscriber has the same number of partitions, or one more. Topics with equal
/// partition counts and equal subscribers are co-partitioned: partition i of each goes to the same
/// member. Sticky within that. What is free is given out in ranges, to static members by instance
/// first, then to dynamic ones by name.
Shares assign_range(const AssignorInput& input);

/// nullptr: not known.
Assignor find_assignor(std::string_view name);

/// The partitions of all topics of an input, numbered: those of topics[0] first.
class Slots {
 public:
  explicit Slots(const AssignorInput& input);

  std::uint32_t count() const { return first_.back(); }
  std::uint32_t first_of(std::uint32_t topic) const { return first_[topic]; }
  std::uint32_t topic_of(std::uint32_t slot) const;
  model::PartitionKey key_of(std::uint32_t slot) const;
  /// Is one of the partition's replicas in the rack? Cost: a look at its few replicas.
  bool in_rack(std::uint32_t slot, std::string_view rack) const;
  /// What each member had and may keep: partitions that exist, of topics that it subscribes to, and
  /// that no member before it has. Ascending.
  std::vector<std::vector<std::uint32_t>> kept() const;
  /// The keys of slots that are ascending for each member.
  Shares shares(std::vector<std::vector<std::uint32_t>> owned) const;

 private:
  const AssignorInput& input_;
  std::vector<std::uint32_t> first_;  // one more than topics: the last is the count
};

}  // namespace millrace::coordinator
