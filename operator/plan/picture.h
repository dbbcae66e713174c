// const Picture picture = draw(observation, now);
//
// What there is of a cluster, in the plan's own words: read once from the observation, then used by
// every part of the plan (children.cc, volumes.cc, roll.cc, scale.cc ...). Internal to plan.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "operator/plan/cluster_plan.h"
#include "operator/plan/pod.h"
#include "operator/resources/manifests.h"
#include "operator/resources/names.h"
#include "operator/resources/receipt.h"

namespace millrace::plan {

/// A volume claim.
struct Volume {
  std::int32_t ordinal = -1;
  std::string name;
  std::string uid;
  std::string cluster_id;
  std::string directory_id;
  /// Only one that fits directory_id counts.
  std::optional<resources::Receipt> receipt;
  /// The rack for which its broker was last restarted.
  std::string rack;
  std::string storage_class;
  std::int64_t requested_bytes = 0;
  /// 0: there is no volume behind the claim yet.
  std::int64_t capacity_bytes = 0;
  bool lost = false;
  bool deleting = false;
  /// As it was read.
  const Json* object = nullptr;

  /// Nothing is left on it: it may be deleted.
  bool retired() const { return receipt.has_value(); }
};

/// A broker that the operator began to drain, or may have (status.leaving).
struct Leaving {
  std::int32_t broker = -1;
  /// Seen active again since then, after it was to stay; absent: it leaves.
  std::optional<common::Timestamp> kept_since;
};

/// Points into the observation, which must outlive it.
struct Picture {
  const ClusterObservation* observation = nullptr;
  common::Timestamp now;
  resources::Identity identity;
  resources::Parsed<resources::ClusterSpec> spec;
  bool paused = false;
  /// status as it is now.
  const Json* status = nullptr;

  /// The StatefulSet; null: none.
  const Json* stateful_set = nullptr;
  /// spec.replicas of it, 0 without.
  std::int32_t replicas = 0;
  /// It has seen its newest template.
  bool template_taken_up = false;

  std::map<std::int32_t, Pod> pods;
  std::map<std::int32_t, Volume> volumes;
  std::vector<Leaving> leaving;
  /// Settings that the operator set while brokers ran (status.managedConfig).
  std::vector<std::string> managed_config;

  std::string cluster_id;
  /// Volumes that belong to other clusters.
  std::vector<std::string> foreign_volumes;
  std::int32_t voters = resources::kVotersMax;

  /// The brokers' answer, or one that says "not reachable" where it is of another cluster.
  ClusterView view;
  /// Something may be stopped or removed: a broker answers, somebody leads the metadata, and all
  /// lists have been read.
  bool knows_enough = false;

  const resources::ClusterSpec& wanted() const { return spec.value; }
  const Pod* pod(std::int32_t ordinal) const;
  const Volume* volume(std::int32_t ordinal) const;
  const BrokerView* broker(std::int32_t ordinal) const { return view.find(ordinal); }
  /// The observed child, or nullptr.
  const Json* child(const std::string& kind, const std::string& name) const;
  /// What was said to the action of this key the last time; nullptr: nothing bad.
  const Answer* answer(const std::string& key) const;
  bool leaves(std::int32_t ordinal) const { return ordinal >= wanted().brokers; }
  /// The broker has been one of the cluster: it is registered, or its volume was marked.
  bool has_joined(std::int32_t ordinal) const;
  /// The status says that the operator drained it, or is about to.
  bool is_listed(std::int32_t ordinal) const;
  /// It is to stay, was one of the cluster, and was decommissioned, not by the operator.
  bool left_by_hand(std::int32_t ordinal) const;
  /// Ready, and its broker alive and recovered.
  bool is_well(const Pod& pod) const;
  /// The rack of the pod's node; empty: it has none, or nobody knows.
  std::string rack_of(const Pod& pod) const;
  /// What manifests are made of, with so many replicas.
  resources::ManifestRequest request(std::int32_t with_replicas) const;
};

Picture draw(const ClusterObservation& observation, common::Timestamp now);

/// A plan in the making.
struct Draft {
  const Picture& picture;
  ClusterPlan plan;
  /// Something is destroyed by this plan already: nothing else may be.
  bool destroys = false;
  /// What status.leaving and status.managedConfig are to say.
  std::vector<Leaving> leaving;
  std::vector<std::string> managed_config;
  /// Pods that do not run what is asked for yet, and those that do.
  std::int32_t stale = 0;
  std::int32_t updated = 0;
  std::string revision;
  /// Replicas that the StatefulSet is to have.
  std::int32_t replicas = 0;
  /// The broker whose retired volume has to go before there can be more replicas; -1: none.
  std::int32_t in_the_way = -1;

  void act(Step step, Reason reason, std::string note, Deed deed);
  void say(Reason reason, std::string object = {}, std::string detail = {});
  /// Looks again then at the latest.
  void again(std::chrono::milliseconds after);
};

/// A claim of the cluster, as ObjectRef.
ObjectRef volume_ref(const Picture& picture, const Volume& volume);
ObjectRef pod_ref(const Picture& picture, const Pod& pod);

/// "broker 2"
std::string broker_name(std::int32_t broker);

}  // namespace millrace::plan
