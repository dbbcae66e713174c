#include "broker/coordinator/holding.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::coordinator {
namespace {

bool by_key(const Held& a, const Held& b) {
  return a.key < b.key;
}

}  // namespace

PartitionList flat(const std::vector<TopicPartitions>& topics) {
  PartitionList list;
  for (const TopicPartitions& topic : topics) {
    for (const std::int32_t partition : topic.partitions)
      list.push_back({topic.topic, model::PartitionIndex{partition}});
  }
  if (!std::is_sorted(list.begin(), list.end())) std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

Holding flat(const std::vector<HeldPartitions>& topics, Epoch missing) {
  Holding holding;
  for (const HeldPartitions& topic : topics) {
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
      holding.push_back({{topic.topic, model::PartitionIndex{topic.partitions[i]}},
                         i < topic.epochs.size() ? topic.epochs[i] : missing});
    }
  }
  std::stable_sort(holding.begin(), holding.end(), by_key);
  holding.erase(std::unique(holding.begin(), holding.end(),
                            [](const Held& a, const Held& b) { return a.key == b.key; }),
                holding.end());
  return holding;
}

std::vector<TopicPartitions> by_topic(const PartitionList& partitions) {
  std::vector<TopicPartitions> topics;
  for (const model::PartitionKey& key : partitions) {
    if (topics.empty() || topics.back().topic != key.topic) topics.push_back({key.topic, {}});
    topics.back().partitions.push_back(key.index.value());
  }
  return topics;
}

std::vector<HeldPartitions> by_topic(const Holding& holding) {
  std::vector<HeldPartitions> topics;
  for (const Held& held : holding) {
    if (topics.empty() || topics.back().topic != held.key.topic)
      topics.push_back({held.key.topic, {}, {}});
    topics.back().partitions.push_back(held.key.index.value());
    topics.back().epochs.push_back(held.epoch);
  }
  return topics;
}

PartitionList keys_of(const Holding& holding) {
  PartitionList keys;
  keys.reserve(holding.size());
  for (const Held& held : holding) keys.push_back(held.key);
  return keys;
}

const Held* find(const Holding& holding, const model::PartitionKey& key) {
  const auto at = std::lower_bound(holding.begin(), holding.end(), Held{key, Epoch{0}}, by_key);
  return at != holding.end() && at->key == key ? &*at : nullptr;
}

bool intersects(const PartitionList& list, const Holding& holding) {
  for (auto [a, b] = std::pair(list.begin(), holding.begin());
       a != list.end() && b != holding.end();) {
    if (*a == b->key) return true;
    if (*a < b->key) {
      ++a;
    } else {
      ++b;
    }
  }
  return false;
}

bool is_subset(const PartitionList& list, const Holding& holding) {
  auto b = holding.begin();
  for (const model::PartitionKey& key : list) {
    while (b != holding.end() && b->key < key) ++b;
    if (b == holding.end() || b->key != key) return false;
  }
  return true;
}

bool same_keys(const Holding& a, const Holding& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Held& x, const Held& y) { return x.key == y.key; });
}

void Holders::take(Token member, const Holding& holding) {
  CHECK(member != kNobody);
  for (const Held& held : holding) holders_[held.key] = member;
}

void Holders::release(Token member, const Holding& holding) {
  CHECK(member != kNobody);
  for (const Held& held : holding) {
    const auto at = holders_.find(held.key);
    if (at != holders_.end() && at->second == member) holders_.erase(at);
  }
}

Holders::Token Holders::of(const model::PartitionKey& key) const {
  const auto at = holders_.find(key);
  return at == holders_.end() ? kNobody : at->second;
}

}  // namespace millrace::coordinator
