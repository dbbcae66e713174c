// Sets of partitions, as the consumer group computes with them: flat and sorted, so that every
// operation is one pass.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "broker/coordinator/ids.h"
#include "broker/coordinator/records.h"
#include "broker/model/ids.h"

namespace millrace::coordinator {

/// Ascending and distinct.
using PartitionList = std::vector<model::PartitionKey>;

/// One partition that a member holds, and the epoch in which it was given to it.
struct Held {
  model::PartitionKey key;
  Epoch epoch{0};
  bool operator==(const Held&) const = default;
};
/// Ascending by key, keys distinct.
using Holding = std::vector<Held>;

/// Sorted and without repetitions, whatever order they come in.
PartitionList flat(const std::vector<TopicPartitions>& topics);
/// Where `epochs` has fewer elements than `partitions`, `missing` stands in.
Holding flat(const std::vector<HeldPartitions>& topics, Epoch missing);
std::vector<TopicPartitions> by_topic(const PartitionList& partitions);
std::vector<HeldPartitions> by_topic(const Holding& holding);
PartitionList keys_of(const Holding& holding);

/// Binary search.
const Held* find(const Holding& holding, const model::PartitionKey& key);
/// Has `list` an element that `holding` has too?
bool intersects(const PartitionList& list, const Holding& holding);
/// Is every element of `list` in `holding`?
bool is_subset(const PartitionList& list, const Holding& holding);
/// Equal partitions, whatever their epochs.
bool same_keys(const Holding& a, const Holding& b);

/// Who holds each partition of a group, be it assigned or pending revocation. Members go by tokens
/// that their group draws.
class Holders {
 public:
  using Token = std::uint32_t;
  static constexpr Token kNobody = 0;

  /// The last one to take a partition has it. That matters only while an unevenly compacted log is
  /// replayed; decisions never take what another member holds.
  void take(Token member, const Holding& holding);
  /// Gives up those that are still the member's.
  void release(Token member, const Holding& holding);
  Token of(const model::PartitionKey& key) const;
  std::size_t size() const { return holders_.size(); }

 private:
  std::unordered_map<model::PartitionKey, Token> holders_;
};

}  // namespace millrace::coordinator
