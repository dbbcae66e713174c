// const std::vector<Json> children = manifests(request);
//
// What a cluster becomes, as objects for server-side apply: only fields that the operator decides.
// Pure: the same request gives the same bytes. Golden files: testdata/*.yaml.
//
// Who a broker is comes to it without a shell in the image:
//  - settings that are the same for all: a file from the ConfigMap. Its key is named after the hash
//    of its content and the volume takes that one key, so a pod that restarts by itself in the
//    middle of a roll gets the settings that it had, and a bad setting cannot spread by crashes;
//  - node.id: environment, from the label apps.kubernetes.io/pod-index (Kubernetes 1.28);
//  - addresses: environment, from $(POD_NAME);
//  - broker.rack: a file named after its node, from a ConfigMap of all nodes (CLUSTER-racks): pods
//    cannot read the labels of nodes, and so the rack is there before the pod is placed;
//  - the addresses of outside listeners: a file of all brokers' (CLUSTER-outside), which brokers
//    read again when it changes. Neither of the two ConfigMaps is part of the revision.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "operator/resources/cluster.h"

namespace millrace::resources {

/// Everything that manifests depend on besides the spec.
struct ManifestRequest {
  Identity cluster;
  ClusterSpec spec;
  /// cluster.id; the same for ever.
  std::string cluster_id;
  /// How many ordinals founded the cluster: 1 to kVotersMax; the same for ever.
  std::int32_t voters = 3;
  /// spec.replicas of the StatefulSet: what the plan allows now, not what the resource asks for.
  std::int32_t replicas = 3;
  /// Files of settings that pods still run, by revision: they stay in the ConfigMap.
  std::map<std::string, std::string> older_settings;
  /// spec.volumeClaimTemplates of the StatefulSet that is there, or null: they can never change.
  Json claim_templates;
};

/// The settings file of all brokers (YAML, sorted): what the operator decides, and of spec.config
/// what brokers read only when they start.
std::string settings_file(const ManifestRequest& request);
/// Ten characters: names the file in the ConfigMap, REVISION.yaml.
std::string settings_revision(const ManifestRequest& request);
/// The settings revision that a pod mounts, from its spec; empty: none of ours.
std::string settings_revision_of(const Json& pod);
/// Ten characters: annotation millrace.dev/revision of the pods that the request makes. Two
/// requests have the same one exactly if a pod need not be restarted between them.
std::string pod_revision(const ManifestRequest& request);

/// Settings of spec.config that change while brokers run, for all of them (AlterConfigs); they are
/// in no file and in no revision.
std::map<std::string, std::string> dynamic_config(const ClusterSpec& spec);
/// Whether brokers take a new value of this setting while they run.
bool is_dynamic_setting(std::string_view name);
/// Whether the operator decides this setting, so that spec.config may not.
bool is_reserved_setting(std::string_view name);

Json service_account(const ManifestRequest& request);
Json config_map(const ManifestRequest& request);
/// Which rack each node stands in; nodes without one are left out.
Json racks_map(const ManifestRequest& request, const std::map<std::string, std::string>& racks);
/// What clients are told that came in by an outside listener: listener -> broker -> "HOST:PORT".
Json outside_map(const ManifestRequest& request,
                 const std::map<std::string, std::map<std::int32_t, std::string>>& addresses);
Json headless_service(const ManifestRequest& request);
Json bootstrap_service(const ManifestRequest& request);
/// One per outside listener for bootstrap, and one per broker up to `replicas`.
std::vector<Json> outside_services(const ManifestRequest& request);
Json disruption_budget(const ManifestRequest& request);
Json stateful_set(const ManifestRequest& request);
Json network_policy(const ManifestRequest& request);
Json pod_monitor(const ManifestRequest& request);
/// The volume of one broker, before the StatefulSet would make it: so that its size is the one
/// asked for today, and it has an owner only where it goes with the cluster. `observed` is the
/// volume as it is now, or null: what cannot change is taken from it, and the larger size wins.
Json volume(const ManifestRequest& request, std::int32_t broker, const Json& observed);

/// What the resource gets and gives, where clients begin: "events-bootstrap.shop.svc:9092".
std::string bootstrap_address(const Identity& cluster, const ClusterSpec& spec);

/// All of the above but volumes and the maps of racks and outside addresses, in the order in which
/// they are to be applied: the ConfigMap before the StatefulSet that mounts it.
std::vector<Json> manifests(const ManifestRequest& request);

/// `object` with the annotation millrace.dev/applied: the hash of everything else in it.
Json stamped(Json object);
/// Whether applying `desired` (stamped) to `observed` would change nothing that we asked for: the
/// stamps are equal, and every field of `desired` has the same value in `observed`, quantities
/// compared as numbers and lists by the keys of Kubernetes.
bool is_applied(const Json& desired, const Json& observed);

}  // namespace millrace::resources
