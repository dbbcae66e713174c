// offsets.apply(record);   ...   offsets.find({.name = "orders"}, 3)
//
// What one group committed: per topic and partition, the newest.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "broker/coordinator/records.h"
#include "broker/coordinator/topics.h"

namespace millrace::coordinator {

/// Changes only by records. Walks go in the order of topics and partitions.
class Offsets {
 public:
  struct Entry {
    CommittedOffset committed;
    model::TopicId topic;  // that the commit was for; zero: unknown
    bool operator==(const Entry&) const = default;
  };
  using Partitions = std::map<std::int32_t, Entry>;

  void apply(const OffsetRecord& record);

  bool empty() const { return topics_.empty(); }
  /// Partitions with an offset.
  std::size_t size() const { return size_; }
  /// None of them is without partitions.
  const std::map<std::string, Partitions>& topics() const { return topics_; }
  /// nullptr: nothing is committed for this partition, or only for another topic that had this name
  /// (both ids are known, and differ).
  const Entry* find(const TopicName& topic, std::int32_t partition) const;

  /// Appends the records that replay all.
  void snapshot(const std::string& group, std::vector<Record>& records) const;
  /// Appends a tombstone for each offset of which `doomed` says true. True: for all of them.
  using Judge = std::function<bool(const std::string& topic, const Entry& entry)>;
  bool tombstones(const std::string& group, const Judge& doomed,
                  std::vector<Record>& records) const;

 private:
  std::map<std::string, Partitions> topics_;
  std::size_t size_ = 0;
};

/// When the offsets of a group grow old (offsets.retention.minutes, KIP-211).
enum class OffsetAge : std::uint8_t {
  kAgeless,      // never: the group works, and what it reads is not known
  kSinceCommit,  // those of topics that the group does not read, from their commit on
  // From the moment on in which the group lost its last member, or from the commit if that came
  // later: who sets the offsets of a group that stands still wants them to be there.
  kSinceEmptied,
};

/// Whether this offset's time is over. `emptied`: when the group became empty; -1: unknown, then
/// the commit counts. An offset that was committed with a time of its own obeys that.
bool is_expired(const CommittedOffset& committed, OffsetAge age, common::Timestamp emptied,
                std::int64_t retention_ms, common::Timestamp now);

}  // namespace millrace::coordinator
