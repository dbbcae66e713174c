#include "operator/control/observer.h"

#include <array>
#include <utility>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/resources/names.h"

namespace millrace::control {
namespace {

constexpr std::array kChildren = {kube::kServiceAccounts,   kube::kConfigMaps,
                                  kube::kServices,          kube::kStatefulSets,
                                  kube::kDisruptionBudgets, kube::kNetworkPolicies};

plan::BrokerState state_of(brokers::BrokerState state) {
  switch (state) {
    case brokers::BrokerState::kActive:
      return plan::BrokerState::kActive;
    case brokers::BrokerState::kDraining:
      return plan::BrokerState::kDraining;
    case brokers::BrokerState::kDrained:
      return plan::BrokerState::kDrained;
    case brokers::BrokerState::kUnregistered:
      return plan::BrokerState::kUnregistered;
  }
  return plan::BrokerState::kUnregistered;
}

plan::Health health_of(brokers::Health health) {
  switch (health) {
    case brokers::Health::kGreen:
      return plan::Health::kGreen;
    case brokers::Health::kYellow:
      return plan::Health::kYellow;
    case brokers::Health::kRed:
      return plan::Health::kRed;
    case brokers::Health::kUnknown:
      return plan::Health::kUnknown;
  }
  return plan::Health::kUnknown;
}

plan::BrokerView view_of(const brokers::Broker& broker) {
  plan::BrokerView view{.id = broker.id,
                        .state = state_of(broker.state),
                        .alive = broker.alive,
                        .silent_ms = broker.silent_ms,
                        .recovered = broker.recovered,
                        .leaders = broker.leaders,
                        .replicas = broker.replicas,
                        .replicas_behind = broker.replicas_behind,
                        .directory_id = broker.directory_id,
                        .incarnation = broker.incarnation,
                        .endpoint = broker.endpoint,
                        .rack = broker.rack,
                        .permit = std::nullopt,
                        .metadata_voter = broker.metadata_voter};
  if (broker.permit) {
    view.permit = plan::PermitView{broker.permit->incarnation,
                                   common::Timestamp{broker.permit->expires_at_ms}};
  }
  return view;
}

std::string name_of(const Json& object) {
  return kube::text_at(object, {"metadata", "name"});
}

std::map<std::string, Json> by_name(std::vector<Json> objects) {
  std::map<std::string, Json> named;
  for (Json& object : objects) {
    std::string name = name_of(object);
    named.emplace(std::move(name), std::move(object));
  }
  return named;
}

}  // namespace

plan::ClusterView view_of(const brokers::Answer<brokers::Cluster>& cluster,
                          const brokers::Answer<brokers::Configs>& dynamic_defaults) {
  plan::ClusterView view;
  if (!cluster.ok()) {
    view.why_not = cluster.error().detail;
    return view;
  }
  view.reachable = true;
  view.cluster_id = cluster->cluster_id;
  view.health = health_of(cluster->health);
  view.controller = cluster->controller;
  view.reasons = cluster->reasons;
  for (const brokers::Broker& broker : cluster->brokers) view.brokers.push_back(view_of(broker));
  view.partitions = cluster->partitions;
  view.offline = cluster->offline;
  view.under_min_in_sync = cluster->under_min_in_sync;
  view.under_replicated = cluster->under_replicated;
  view.moving = cluster->moving;
  view.version = cluster->version;
  if (dynamic_defaults.ok()) view.dynamic_config = *dynamic_defaults;
  return view;
}

void Silence::judge(plan::ClusterObservation& observation, common::Instant now) {
  if (observation.view.reachable) {
    since_.reset();
    return;
  }
  if (observation.pods.empty()) return;
  if (!since_) since_ = now;
  if (now - *since_ < kPatience) observation.view.why_not.clear();
}

// What takes long comes first: the caches are read right before anything is done. Else a pod that
// has started while the brokers were asked is taken for one that never ran.
std::optional<plan::ClusterObservation> Observer::observe(const ObjectKey& key,
                                                          brokers::Admin& admin) {
  plan::ClusterObservation observation;
  observation.view = ask(key, admin);
  auto cluster = world_.get(kube::kClusters, key);
  if (!cluster) return std::nullopt;
  observation.cluster = *std::move(cluster);
  add_pod_monitors(key, observation);
  observation.defaults = defaults_;
  observation.synced = world_.synced();
  add_children(key, observation);
  observation.pods = by_name(world_.labelled(kube::kPods, key));
  observation.volumes = by_name(world_.labelled(kube::kVolumeClaims, key));
  observation.nodes = by_name(world_.all(kube::kNodes));
  add_unlabelled(key, observation);
  return observation;
}

plan::ClusterView Observer::ask(const ObjectKey& key, brokers::Admin& admin) const {
  // Without a pod nobody can answer: that is not worth a try.
  if (world_.labelled(kube::kPods, key).empty()) {
    plan::ClusterView view;
    view.why_not = "no pod runs";
    return view;
  }
  const brokers::Answer<brokers::Cluster> answer = admin.cluster();
  return view_of(answer, answer.ok() ? admin.dynamic_defaults()
                                     : brokers::Answer<brokers::Configs>(answer.error()));
}

void Observer::add_children(const ObjectKey& key, plan::ClusterObservation& observation) {
  for (const Resource& resource : kChildren) {
    observation.children[std::string(resource.kind)] = by_name(world_.labelled(resource, key));
  }
}

bool Observer::is_new(const ObjectKey& cluster, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return looked_for_[cluster].insert(name).second;
}

void Observer::forget(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  looked_for_.erase(key);
}

// An object that somebody else made under a name of ours has no label of ours, so no watch tells of
// it. It is asked for once: what is made later by others meets our own object.
void Observer::add_unlabelled(const ObjectKey& key, plan::ClusterObservation& observation) {
  namespace names = resources::names;
  const auto look = [&](const Resource& resource, const std::string& name,
                        std::map<std::string, Json>& into) {
    if (into.contains(name) || !is_new(key, std::string(resource.kind) + "/" + name)) return;
    auto object = api_.get(resource, {key.space, name});
    if (object.ok()) into.emplace(name, *std::move(object));
  };
  auto& children = observation.children;
  look(kube::kServiceAccounts, names::service_account(key.name), children["ServiceAccount"]);
  look(kube::kConfigMaps, names::config(key.name), children["ConfigMap"]);
  look(kube::kServices, names::headless(key.name), children["Service"]);
  look(kube::kServices, names::bootstrap(key.name), children["Service"]);
  look(kube::kStatefulSets, names::stateful_set(key.name), children["StatefulSet"]);
  look(kube::kDisruptionBudgets, names::budget(key.name), children["PodDisruptionBudget"]);
  const auto brokers = kube::number_at(observation.cluster, {"spec", "brokers"}).value_or(0);
  constexpr std::int64_t kBrokersMost = 1000;
  for (std::int64_t broker = 0; broker < std::min(brokers, kBrokersMost); ++broker) {
    look(kube::kVolumeClaims, names::volume(key.name, static_cast<std::int32_t>(broker)),
         observation.volumes);
  }
}

// Not watched: their kind may not be installed, and may be installed later. Read only where the
// resource asks for one, and once to find one that it asked for before.
void Observer::add_pod_monitors(const ObjectKey& key, plan::ClusterObservation& observation) {
  const Json* const wanted = kube::find(observation.cluster, {"spec", "metrics", "podMonitor"});
  const bool asked_for = wanted != nullptr && *wanted != false;
  if (!asked_for && !is_new(key, "PodMonitor")) return;
  kube::ListOptions options;
  options.space = key.space;
  options.label_selector = std::string(kClusterLabel) + "=" + key.name;
  auto page = api_.list(kube::kPodMonitors, options);
  if (!page.ok()) return;
  observation.has_pod_monitors = true;
  observation.children[std::string(kube::kPodMonitors.kind)] = by_name(std::move(page->items));
}

}  // namespace millrace::control
