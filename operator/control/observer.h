// observer.observe(key, admin) -> everything that plan_cluster() is to know.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "operator/brokers/admin.h"
#include "operator/control/world.h"
#include "operator/kube/api.h"
#include "operator/plan/cluster_plan.h"

namespace millrace::control {

/// What brokers answered, as plans see it.
plan::ClusterView view_of(const brokers::Answer<brokers::Cluster>& cluster,
                          const brokers::Answer<brokers::Configs>& dynamic_defaults);

/// Since when the brokers of a cluster do not answer. A broker that restarts, or a network that has
/// only just come up around the operator, is no outage: what the resource said of its brokers
/// stands until they were silent for kPatience.
class Silence {
 public:
  static constexpr std::chrono::seconds kPatience{10};
  /// Of each look at the cluster: takes `why_not` out of a view of brokers that may yet answer.
  /// Brokers that nobody asked, as no pod of them is there, keep nobody waiting.
  void judge(plan::ClusterObservation& observation, common::Instant now);

 private:
  std::optional<common::Instant> since_;
};

/// Reads for plans. Thread-safe, as long as one cluster is observed by one thread at a time; all
/// must outlive it.
class Observer {
 public:
  Observer(const World& world, kube::Api& api, resources::ClusterDefaults defaults)
      : world_(world), api_(api), defaults_(std::move(defaults)) {}

  /// Answers are left empty. Reads from the caches; asks the API server only for what is not
  /// watched: PodMonitors where they matter, and once per name for objects that could be there
  /// without the cluster's label. nullopt: the custom resource of this key is gone.
  std::optional<plan::ClusterObservation> observe(const ObjectKey& key, brokers::Admin& admin);
  void forget(const ObjectKey& key);

 private:
  /// What the brokers say. May take seconds.
  plan::ClusterView ask(const ObjectKey& key, brokers::Admin& admin) const;
  void add_children(const ObjectKey& key, plan::ClusterObservation& observation);
  void add_pod_monitors(const ObjectKey& key, plan::ClusterObservation& observation);
  void add_unlabelled(const ObjectKey& key, plan::ClusterObservation& observation);
  /// Whether this name has not been looked for yet.
  bool is_new(const ObjectKey& cluster, const std::string& name);

  const World& world_;
  kube::Api& api_;
  const resources::ClusterDefaults defaults_;
  std::mutex mutex_;  // guards looked_for_
  /// By cluster: "Service/events-bootstrap" and the like that were looked for once. A few dozen
  /// names per cluster.
  std::map<ObjectKey, std::set<std::string>> looked_for_;
};

}  // namespace millrace::control
