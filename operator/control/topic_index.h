// index.put(topic);   index.of(cluster)   index.take_changed(cluster)
//
// Which MillraceTopics belong to which cluster, which of them are for the same topic, and which
// have to be looked at.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "operator/kube/api.h"
#include "operator/plan/topic_plan.h"

namespace millrace::control {

using kube::Json;
using kube::ObjectKey;

/// Filled by the informer of topics, read by workers. Thread-safe. Some hundred bytes per topic.
class TopicIndex {
 public:
  /// The object is there, or is another one than before. Answers the clusters whose topics are to
  /// be looked at: two, if it moved from one to another.
  std::vector<ObjectKey> put(const Json& topic);
  /// It is gone.
  std::vector<ObjectKey> erase(const ObjectKey& topic);

  /// What changed since the last call, and what shares its topic with that.
  std::set<ObjectKey> take_changed(const ObjectKey& cluster);
  /// To be looked at again.
  void mark(const ObjectKey& cluster, const ObjectKey& topic);
  /// Resources for topics of these names.
  std::set<ObjectKey> named(const ObjectKey& cluster, const std::set<std::string>& topics) const;
  /// All resources of a cluster.
  std::set<ObjectKey> of(const ObjectKey& cluster) const;
  bool has(const ObjectKey& cluster) const;
  /// Clusters of a namespace, or of all if it is empty, that resources name.
  std::set<ObjectKey> clusters() const;
  /// Other resources for the same topic of the same cluster.
  std::vector<plan::TopicRival> rivals(const ObjectKey& topic) const;

 private:
  struct Entry {
    ObjectKey cluster;
    std::string topic;  // its name among the brokers
    std::string created;
    bool deleting = false;
    bool operator==(const Entry&) const = default;
  };
  struct Cluster {
    std::set<ObjectKey> topics;
    std::set<ObjectKey> changed;
    std::map<std::string, std::set<ObjectKey>> by_name;
  };
  static Entry read(const Json& topic);
  void remove(const ObjectKey& key, const Entry& entry);
  void mark_rivals(const Entry& entry);

  mutable std::mutex mutex_;  // guards what follows
  std::map<ObjectKey, Entry> entries_;
  std::map<ObjectKey, Cluster> clusters_;
};

}  // namespace millrace::control
