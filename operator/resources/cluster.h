// const Parsed<ClusterSpec> parsed = parse_cluster_spec(cr, {.image = "millrace:0.1.0"});
//
// A MillraceCluster as a value: spec.* of the custom resource with the defaults of its schema
// (charts/millrace/crds/millraceclusters.yaml; a test compares the two).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "operator/resources/parsed.h"

namespace millrace::resources {

using Json = nlohmann::json;
using Labels = std::map<std::string, std::string>;

/// Who can reach a listener, and by what kind of Service.
enum class ListenerType {
  /// From inside the Kubernetes cluster, at the stable names of the pods.
  kInternal,
  /// At a port of every node; a Service of type NodePort per broker and one for bootstrap.
  kNodePort,
  /// A Service of type LoadBalancer per broker and one for bootstrap.
  kLoadBalancer,
};

/// One Kafka door of every broker. Exactly one is internal; brokers and the operator use it.
struct Listener {
  /// DNS label of at most 15 characters, unique; part of the names of Services and ports.
  std::string name = "plain";
  std::int32_t port = 9092;
  ListenerType type = ListenerType::kInternal;
  /// For the outside Services: cloud providers are told by these.
  Labels annotations;
  std::optional<std::string> load_balancer_class;
  /// The name or address that clients are told. nodeport: of any node, default: the address of the
  /// node that the broker runs on. loadbalancer: default what the balancer reports; "{broker}" in
  /// it stands for the broker's number.
  std::optional<std::string> advertised_host;
  /// nodeport: the port of broker n is this one + n, bootstrap is this one - 1. Absent: Kubernetes
  /// chooses, once.
  std::optional<std::int32_t> first_node_port;
  bool operator==(const Listener&) const = default;
};

struct Storage {
  /// A Kubernetes quantity. It may grow and never shrink; a volume that is larger stays so.
  std::string size = "100Gi";
  /// Absent: the default class of the Kubernetes cluster. Of volumes that are there it never
  /// changes.
  std::optional<std::string> storage_class;
  /// The volumes go with the resource.
  bool delete_with_cluster = false;
  /// The volume of a broker that left goes, against its receipt.
  bool delete_on_scale_down = false;
  bool operator==(const Storage&) const = default;
};

/// How fast brokers are restarted for a new image or setting. Whether one may stop at all is
/// decided by the brokers.
struct Rollout {
  /// Brokers that may be away at once, all of one rack; 0: as many as the cluster gives permits
  /// for. Without racks one at a time.
  std::int32_t at_once = 0;
  /// Time between a broker's being well again and the next one's restart, seconds.
  std::int32_t pause_s = 0;
  bool operator==(const Rollout&) const = default;
};

/// What is handed on to the pods unchanged. Json members are null where nothing is asked for.
struct PodOptions {
  Json resources;
  Json node_selector;
  Json affinity;
  Json tolerations;
  std::string priority_class;
  Labels labels;
  Labels annotations;
  Json image_pull_secrets;
  /// Seconds that a broker has to hand over its leaderships and stop.
  std::int64_t termination_grace_s = 60;
  bool operator==(const PodOptions&) const = default;
};

struct ClusterSpec {
  std::int32_t brokers = 3;
  std::string image;
  /// "Always", "IfNotPresent", "Never".
  std::string image_pull_policy = "IfNotPresent";
  Storage storage;
  PodOptions pod;
  /// Label of nodes that says where they stand; empty: racks are not told apart.
  std::string rack_topology_key = "topology.kubernetes.io/zone";
  std::vector<Listener> listeners;
  /// Settings of brokers by name (docs/settings.md), as text.
  std::map<std::string, std::string> config;
  Rollout rollout;
  bool pod_monitor = false;
  Labels pod_monitor_labels;
  bool network_policy = false;
  bool operator==(const ClusterSpec&) const = default;
};

/// What the operator knows and the resource need not say.
struct ClusterDefaults {
  std::string image;
};

/// Who a custom resource is, from its metadata.
struct Identity {
  std::string space;
  std::string name;
  std::string uid;
  std::int64_t generation = 0;
  std::string resource_version;
  /// RFC 3339, as the API server wrote it; sorts as text.
  std::string created;
  Labels labels;
  Labels annotations;
  std::vector<std::string> finalizers;
  /// It has a deletionTimestamp.
  bool deleting = false;
};

/// `object` is the whole custom resource, or any Kubernetes object. What is absent stays empty.
Identity identity_of(const Json& object);

/// `object` is the whole custom resource. Never throws, whatever the JSON is.
Parsed<ClusterSpec> parse_cluster_spec(const Json& object, const ClusterDefaults& defaults);

/// The internal listener. Requires a spec that was parsed without problems.
const Listener& internal_listener(const ClusterSpec& spec);

}  // namespace millrace::resources
