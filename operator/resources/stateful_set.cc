// The StatefulSet and its pods.
#include <fmt/format.h>

#include "operator/resources/hash.h"
#include "operator/resources/manifests.h"
#include "operator/resources/names.h"
#include "operator/resources/object.h"

namespace millrace::resources {
namespace {

constexpr std::int64_t kUser = 65532;
constexpr std::string_view kSettingsFolder = "/etc/millrace/settings";
constexpr std::string_view kRacksFolder = "/etc/millrace/racks";
constexpr std::string_view kOutsideFolder = "/etc/millrace/outside";

Json field(std::string_view path) {
  return {{"fieldRef", {{"apiVersion", "v1"}, {"fieldPath", path}}}};
}

bool has_outside_listeners(const ClusterSpec& spec) {
  return spec.listeners.size() > 1;
}

/// What differs from pod to pod. Names that an older broker does not know are only a warning to it
/// here; in the file they would be an error.
Json environment(const ManifestRequest& request) {
  const std::string host = fmt::format(
      "$(POD_NAME).{}.{}.svc", names::headless(request.cluster.name), request.cluster.space);
  const auto address = [&](std::string_view name, std::int32_t port) {
    return Json{{"name", name}, {"value", fmt::format("{}:{}", host, port)}};
  };
  Json variables = Json::array({
      {{"name", "POD_NAME"}, {"valueFrom", field("metadata.name")}},
      {{"name", "NODE_NAME"}, {"valueFrom", field("spec.nodeName")}},
      {{"name", "MILLRACE_NODE_ID"},
       {"valueFrom", field("metadata.labels['apps.kubernetes.io/pod-index']")}},
      address("MILLRACE_INTERNAL_ADVERTISED", kInternalPort),
      address("MILLRACE_KAFKA_ADVERTISED", internal_listener(request.spec).port),
      address("MILLRACE_GRPC_ADVERTISED", kGrpcPort),
  });
  if (!request.spec.rack_topology_key.empty()) {
    variables.push_back({{"name", "MILLRACE_BROKER_RACK_FILE"},
                         {"value", fmt::format("{}/$(NODE_NAME)", kRacksFolder)}});
  }
  if (!has_outside_listeners(request.spec)) return variables;
  std::string doors;
  for (const Listener& listener : request.spec.listeners) {
    if (listener.type == ListenerType::kInternal) continue;
    doors +=
        fmt::format("{}{}://0.0.0.0:{}", doors.empty() ? "" : ",", listener.name, listener.port);
  }
  variables.push_back({{"name", "MILLRACE_KAFKA_OUTSIDE_LISTEN"}, {"value", doors}});
  variables.push_back({{"name", "MILLRACE_KAFKA_OUTSIDE_ADDRESSES"},
                       {"value", fmt::format("{}/addresses", kOutsideFolder)}});
  return variables;
}

/// Ready is what clients are sent to; live is only that the process still turns. A broker that
/// recovers is live for as long as it takes, so nothing ends it for being slow.
Json probe(std::string_view path, int failures) {
  return {{"httpGet", {{"path", path}, {"port", "http"}, {"scheme", "HTTP"}}},
          {"periodSeconds", 5},
          {"timeoutSeconds", 4},
          {"failureThreshold", failures}};
}

Json container(const ManifestRequest& request) {
  Json ports = Json::array();
  const auto add_port = [&](std::string_view name, std::int32_t number) {
    ports.push_back({{"name", name}, {"containerPort", number}, {"protocol", "TCP"}});
  };
  for (const Listener& listener : request.spec.listeners) {
    const bool internal = listener.type == ListenerType::kInternal;
    add_port(internal ? "kafka" : listener.name, listener.port);
  }
  add_port("internal", kInternalPort);
  add_port("grpc", kGrpcPort);
  add_port("http", kHttpPort);
  Json broker = {
      {"name", "broker"},
      {"image", request.spec.image},
      {"imagePullPolicy", request.spec.image_pull_policy},
      {"args", {fmt::format("--config={}/millrace.yaml", kSettingsFolder)}},
      {"env", environment(request)},
      {"ports", ports},
      {"livenessProbe", probe("/livez", 12)},
      {"readinessProbe", probe("/readyz", 2)},
      {"startupProbe", probe("/livez", 120)},
      {"securityContext",
       {{"allowPrivilegeEscalation", false},
        {"readOnlyRootFilesystem", true},
        {"capabilities", {{"drop", {"ALL"}}}}}},
      {"volumeMounts",
       Json::array({{{"name", "data"}, {"mountPath", "/data"}},
                    {{"name", "config"}, {"mountPath", kSettingsFolder}, {"readOnly", true}},
                    {{"name", "racks"}, {"mountPath", kRacksFolder}, {"readOnly", true}},
                    {{"name", "outside"}, {"mountPath", kOutsideFolder}, {"readOnly", true}}})}};
  if (!request.spec.pod.resources.is_null()) broker["resources"] = request.spec.pod.resources;
  return broker;
}

Json volumes(const ManifestRequest& request) {
  // May be missing: a broker without a rack is better than none, and addresses come later.
  const auto optional_map = [](std::string_view name, const std::string& map) {
    return Json{{"name", name}, {"configMap", {{"name", map}, {"optional", true}}}};
  };
  // One key, by name: the kubelet starts no broker before that file is there, and a pod keeps its
  // file for as long as it lives.
  const Json file = {{"key", settings_revision(request) + ".yaml"}, {"path", "millrace.yaml"}};
  return Json::array(
      {{{"name", "config"},
        {"configMap",
         {{"name", names::config(request.cluster.name)}, {"items", Json::array({file})}}}},
       optional_map("racks", names::racks(request.cluster.name)),
       optional_map("outside", names::outside_addresses(request.cluster.name))});
}

/// As even as can be, but a pod that cannot be placed evenly is better than none.
Json spread(const ManifestRequest& request, std::string_view topology_key) {
  return {{"maxSkew", 1},
          {"topologyKey", topology_key},
          {"whenUnsatisfiable", "ScheduleAnyway"},
          {"labelSelector", {{"matchLabels", selector_labels(request.cluster.name)}}}};
}

Json pod_spec(const ManifestRequest& request) {
  const PodOptions& options = request.spec.pod;
  Json spec = {{"serviceAccountName", names::service_account(request.cluster.name)},
               {"automountServiceAccountToken", false},
               {"enableServiceLinks", false},
               {"terminationGracePeriodSeconds", options.termination_grace_s},
               {"securityContext",
                {{"runAsNonRoot", true},
                 {"runAsUser", kUser},
                 {"runAsGroup", kUser},
                 {"fsGroup", kUser},
                 {"fsGroupChangePolicy", "OnRootMismatch"},
                 {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
               {"containers", Json::array({container(request)})},
               {"volumes", volumes(request)}};
  spec["topologySpreadConstraints"] = Json::array();
  if (!request.spec.rack_topology_key.empty()) {
    spec["topologySpreadConstraints"].push_back(spread(request, request.spec.rack_topology_key));
  }
  if (request.spec.rack_topology_key != "kubernetes.io/hostname") {
    spec["topologySpreadConstraints"].push_back(spread(request, "kubernetes.io/hostname"));
  }
  const auto hand_on = [&](std::string_view name, const Json& value) {
    if (!value.is_null()) spec[std::string(name)] = value;
  };
  hand_on("nodeSelector", options.node_selector);
  hand_on("affinity", options.affinity);
  hand_on("tolerations", options.tolerations);
  hand_on("imagePullSecrets", options.image_pull_secrets);
  if (!options.priority_class.empty()) spec["priorityClassName"] = options.priority_class;
  return spec;
}

Json pod_template(const ManifestRequest& request) {
  Json metadata = {{"labels", child_labels(request.cluster.name)}};
  for (const auto& [name, value] : request.spec.pod.labels) metadata["labels"][name] = value;
  for (const auto& [name, value] : request.spec.pod.annotations) {
    metadata["annotations"][name] = value;
  }
  return {{"metadata", metadata}, {"spec", pod_spec(request)}};
}

Json claim_template(const ManifestRequest& request) {
  Json spec = {{"accessModes", {"ReadWriteOnce"}},
               {"resources", {{"requests", {{"storage", request.spec.storage.size}}}}}};
  if (request.spec.storage.storage_class) {
    spec["storageClassName"] = *request.spec.storage.storage_class;
  }
  return {{"apiVersion", "v1"},
          {"kind", "PersistentVolumeClaim"},
          {"metadata", {{"name", "data"}, {"labels", child_labels(request.cluster.name)}}},
          {"spec", spec}};
}

}  // namespace

std::string pod_revision(const ManifestRequest& request) {
  return hash_of(pod_template(request).dump());
}

Json stateful_set(const ManifestRequest& request) {
  Json set = child(request, "apps/v1", "StatefulSet", names::stateful_set(request.cluster.name));
  Json& annotations = set["metadata"]["annotations"];
  annotations[std::string(kClusterIdAnnotation)] = request.cluster_id;
  annotations[std::string(kVotersAnnotation)] = fmt::format("{}", request.voters);
  Json pods = pod_template(request);
  pods["metadata"]["annotations"][std::string(kRevisionAnnotation)] = pod_revision(request);
  set["spec"] = {{"replicas", request.replicas},
                 {"serviceName", names::headless(request.cluster.name)},
                 {"podManagementPolicy", "Parallel"},
                 {"updateStrategy", {{"type", "OnDelete"}}},
                 {"revisionHistoryLimit", 3},
                 {"persistentVolumeClaimRetentionPolicy",
                  {{"whenDeleted", "Retain"}, {"whenScaled", "Retain"}}},
                 {"selector", {{"matchLabels", selector_labels(request.cluster.name)}}},
                 {"template", std::move(pods)},
                 {"volumeClaimTemplates", request.claim_templates.is_array()
                                              ? request.claim_templates
                                              : Json::array({claim_template(request)})}};
  return set;
}

}  // namespace millrace::resources
