// offsets.apply(record);   ...   offsets.find("orders", 3)
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
  struct TopicOffsets {
    /// Of the topic that the newest commit was for; zero: unknown.
    model::TopicId id;
    std::map<std::int32_t, CommittedOffset> partitions;
  };

  void apply(const OffsetRecord& record);

  bool empty() const { return topics_.empty(); }
  /// Partitions with an offset.
  std::size_t size() const { return size_; }
  const std::map<std::string, TopicOffsets>& topics() const { return topics_; }
  /// nullptr: nothing is committed for this partition, or only for an older topic of this name
  /// (both ids known and different).
  const CommittedOffset* find(const TopicName& topic, std::int32_t partition) const;

  /// Appends the records that replay all.
  void snapshot(const std::string& group, std::vector<Record>& records) const;
  /// Appends a tombstone for each offset for which `doomed` says true.
  void tombstones(const std::string& group, std::vector<Record>& records,
                  const std::function<bool(const std::string& topic, const TopicOffsets& offsets,
                                           const CommittedOffset& committed)>& doomed) const;

 private:
  std::map<std::string, TopicOffsets> topics_;
  std::size_t size_ = 0;
};

}  // namespace millrace::coordinator
