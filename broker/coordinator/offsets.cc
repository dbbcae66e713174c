#include "broker/coordinator/offsets.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace millrace::coordinator {

void Offsets::apply(const OffsetRecord& record) {
  if (record.value.has_value()) {
    const auto [at, is_new] = topics_[record.topic].try_emplace(record.partition);
    if (is_new) ++size_;
    at->second.committed = *record.value;
    at->second.topic = record.topic_id;
    return;
  }
  const auto topic = topics_.find(record.topic);
  if (topic == topics_.end()) return;
  if (topic->second.erase(record.partition) > 0) {
    CHECK(size_ > 0);
    --size_;
  }
  if (topic->second.empty()) topics_.erase(topic);
}

const Offsets::Entry* Offsets::find(const TopicName& topic, std::int32_t partition) const {
  const auto partitions = topics_.find(topic.name);
  if (partitions == topics_.end()) return nullptr;
  const auto entry = partitions->second.find(partition);
  if (entry == partitions->second.end()) return nullptr;
  const model::TopicId& committed_for = entry->second.topic;
  const bool is_other =
      !topic.id.is_zero() && !committed_for.is_zero() && committed_for != topic.id;
  return is_other ? nullptr : &entry->second;
}

void Offsets::snapshot(const std::string& group, std::vector<Record>& records) const {
  for (const auto& [topic, partitions] : topics_) {
    for (const auto& [partition, entry] : partitions) {
      records.emplace_back(OffsetRecord{.group = group,
                                        .topic = topic,
                                        .partition = partition,
                                        .value = entry.committed,
                                        .topic_id = entry.topic});
    }
  }
}

bool Offsets::tombstones(const std::string& group, const Judge& doomed,
                         std::vector<Record>& records) const {
  bool all = true;
  for (const auto& [topic, partitions] : topics_) {
    for (const auto& [partition, entry] : partitions) {
      if (!doomed(topic, entry)) {
        all = false;
        continue;
      }
      records.emplace_back(OffsetRecord{.group = group,
                                        .topic = topic,
                                        .partition = partition,
                                        .value = std::nullopt,
                                        .topic_id = entry.topic});
    }
  }
  return all;
}

bool is_expired(const CommittedOffset& committed, OffsetAge age, common::Timestamp emptied,
                std::int64_t retention_ms, common::Timestamp now) {
  CHECK(retention_ms >= 0, "a retention of {} ms", retention_ms);
  if (age == OffsetAge::kAgeless) return false;
  if (committed.expires.value() >= 0) return now >= committed.expires;
  const bool is_empty = age == OffsetAge::kSinceEmptied;
  const common::Timestamp from =
      is_empty ? std::max(emptied, committed.committed) : committed.committed;
  return now - from >= retention_ms;
}

}  // namespace millrace::coordinator
