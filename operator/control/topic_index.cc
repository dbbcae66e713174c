#include "operator/control/topic_index.h"

#include <utility>

#include "operator/kube/fields.h"

namespace millrace::control {

TopicIndex::Entry TopicIndex::read(const Json& topic) {
  const ObjectKey key = kube::key_of(topic);
  Entry entry{.cluster = {key.space, kube::text_at(topic, {"spec", "cluster"})},
              .topic = kube::text_at(topic, {"spec", "topicName"}),
              .created = kube::text_at(topic, {"metadata", "creationTimestamp"}),
              .deleting = kube::find(topic, {"metadata", "deletionTimestamp"}) != nullptr};
  if (entry.topic.empty()) entry.topic = key.name;
  return entry;
}

void TopicIndex::mark_rivals(const Entry& entry) {
  Cluster& cluster = clusters_[entry.cluster];
  const auto same = cluster.by_name.find(entry.topic);
  if (same == cluster.by_name.end()) return;
  cluster.changed.insert(same->second.begin(), same->second.end());
}

void TopicIndex::remove(const ObjectKey& key, const Entry& entry) {
  mark_rivals(entry);
  Cluster& cluster = clusters_[entry.cluster];
  cluster.topics.erase(key);
  cluster.changed.erase(key);
  const auto same = cluster.by_name.find(entry.topic);
  same->second.erase(key);
  if (same->second.empty()) cluster.by_name.erase(same);
  if (cluster.topics.empty()) clusters_.erase(entry.cluster);
}

std::vector<ObjectKey> TopicIndex::put(const Json& topic) {
  const ObjectKey key = kube::key_of(topic);
  Entry entry = read(topic);
  std::vector<ObjectKey> touched = {entry.cluster};
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(key);
  const bool same = known != entries_.end() && known->second == entry;
  if (known != entries_.end() && !same) {
    if (known->second.cluster != entry.cluster) touched.push_back(known->second.cluster);
    remove(key, known->second);
  }
  if (!same) {
    Cluster& cluster = clusters_[entry.cluster];
    cluster.topics.insert(key);
    cluster.by_name[entry.topic].insert(key);
    // An older one may count from now on, or a younger one no longer.
    mark_rivals(entry);
  }
  clusters_[entry.cluster].changed.insert(key);
  entries_.insert_or_assign(key, std::move(entry));
  return touched;
}

std::vector<ObjectKey> TopicIndex::erase(const ObjectKey& topic) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(topic);
  if (known == entries_.end()) return {};
  const Entry entry = known->second;
  entries_.erase(known);
  remove(topic, entry);
  return {entry.cluster};
}

std::set<ObjectKey> TopicIndex::take_changed(const ObjectKey& cluster) {
  const std::lock_guard lock(mutex_);
  const auto found = clusters_.find(cluster);
  return found == clusters_.end() ? std::set<ObjectKey>{}
                                  : std::exchange(found->second.changed, {});
}

void TopicIndex::mark(const ObjectKey& cluster, const ObjectKey& topic) {
  const std::lock_guard lock(mutex_);
  const auto found = clusters_.find(cluster);
  if (found != clusters_.end() && found->second.topics.contains(topic))
    found->second.changed.insert(topic);
}

std::set<ObjectKey> TopicIndex::named(const ObjectKey& cluster,
                                      const std::set<std::string>& topics) const {
  std::set<ObjectKey> found;
  const std::lock_guard lock(mutex_);
  const auto known = clusters_.find(cluster);
  if (known == clusters_.end()) return found;
  for (const std::string& topic : topics) {
    const auto same = known->second.by_name.find(topic);
    if (same != known->second.by_name.end()) found.insert(same->second.begin(), same->second.end());
  }
  return found;
}

std::set<ObjectKey> TopicIndex::of(const ObjectKey& cluster) const {
  const std::lock_guard lock(mutex_);
  const auto found = clusters_.find(cluster);
  return found == clusters_.end() ? std::set<ObjectKey>{} : found->second.topics;
}

bool TopicIndex::has(const ObjectKey& cluster) const {
  const std::lock_guard lock(mutex_);
  return clusters_.contains(cluster);
}

std::set<ObjectKey> TopicIndex::clusters() const {
  const std::lock_guard lock(mutex_);
  std::set<ObjectKey> all;
  for (const auto& [key, cluster] : clusters_) all.insert(key);
  return all;
}

std::vector<plan::TopicRival> TopicIndex::rivals(const ObjectKey& topic) const {
  std::vector<plan::TopicRival> others;
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(topic);
  if (known == entries_.end()) return others;
  const Cluster& cluster = clusters_.at(known->second.cluster);
  for (const ObjectKey& other : cluster.by_name.at(known->second.topic)) {
    if (other == topic) continue;
    const Entry& entry = entries_.at(other);
    others.push_back({other.name, entry.created, entry.deleting});
  }
  return others;
}

}  // namespace millrace::control
