// table.learn(key, {.leader = node, .term = term, .in_sync = replicas});
// if (const Leadership* known = table.find(key)) ...
//
// Who leads which partition, as far as this broker has heard. A hint: what is true is known by the
// replicas of the partition, and whoever acts on the hint finds out.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <vector>

#include "broker/model/ids.h"
#include "broker/raft/voters.h"

namespace millrace::cluster {

inline constexpr std::size_t kInSyncMax = raft::kReplicasMax;

/// What a leader says of its partition.
struct Leadership {
  model::BrokerId leader{-1};  // -1: nobody, as far as the one that led in this term knows
  model::Term term;
  /// Replicas that hold all that is committed, the leader included.
  std::vector<model::BrokerId> in_sync;
  /// Counts what was said in one term.
  std::uint32_t version = 0;
  bool operator==(const Leadership&) const = default;
};

struct LeaderEntry {
  model::PartitionKey key;
  Leadership leadership;
  bool operator==(const LeaderEntry&) const = default;
};

/// The order in which words about one partition replace each other: by term, then by version. Two
/// different ones with both equal, which only a wrong broker sends, are ordered too, so that all
/// tables end up the same.
bool is_newer(const Leadership& left, const Leadership& right);

/// Whether a leader could have said that.
bool is_sound(const Leadership& leadership);

/// Entries lie in buckets by a hash of their key that is the same on all brokers and in all
/// versions. Tables that hold the same have the same sums; where they differ, only the buckets that
/// differ need to be sent. Not thread-safe; one copy per shard.
class LeaderTable {
 public:
  static constexpr std::size_t kBuckets = 256;
  /// Of one bucket, or of the whole table: equal contents give equal sums.
  using Sum = std::uint64_t;
  using Sums = std::array<Sum, kBuckets>;

  explicit LeaderTable(std::size_t partitions_max = 1'000'000) : partitions_max_(partitions_max) {}

  /// nullptr: nothing was heard. Valid until the table changes.
  const Leadership* find(const model::PartitionKey& key) const;
  /// True: it was news. False: something as new or newer is known, it is not sound, its topic was
  /// forgotten, or the table is full.
  bool learn(const model::PartitionKey& key, Leadership leadership);
  /// A topic was deleted. What is still said of it is not taken any more (of the last
  /// kTopicsForgotten such topics: for longer no broker lags behind).
  void forget(const model::TopicId& topic, std::int32_t partitions);
  /// Drops every entry for which `keep` is false.
  template <typename Keep>
  void retain(Keep keep) {
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
      std::erase_if(buckets_[bucket], [&](const LeaderEntry& entry) {
        if (keep(entry.key)) return false;
        subtract(bucket, entry);
        return true;
      });
    }
  }

  std::size_t size() const { return size_; }
  Sum sum() const { return sum_; }
  const Sums& sums() const { return sums_; }
  /// In order of their keys. Valid until the table changes.
  std::span<const LeaderEntry> bucket(std::size_t index) const { return buckets_[index]; }
  /// Refused because the table was full.
  std::uint64_t overflows() const { return overflows_; }
  /// Heap included.
  std::size_t memory_bytes() const;

  static constexpr std::size_t kTopicsForgotten = 4096;

 private:
  using Bucket = std::vector<LeaderEntry>;

  void add(std::size_t bucket, const LeaderEntry& entry);
  void subtract(std::size_t bucket, const LeaderEntry& entry);
  void remember_forgotten(const model::TopicId& topic);

  std::size_t partitions_max_;
  std::array<Bucket, kBuckets> buckets_;
  Sums sums_{};
  Sum sum_ = 0;
  std::size_t size_ = 0;
  std::uint64_t overflows_ = 0;
  std::set<model::TopicId> forgotten_;
  std::deque<model::TopicId> forgotten_order_;
};

}  // namespace millrace::cluster
