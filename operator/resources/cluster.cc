#include "operator/resources/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "common/check.h"
#include "operator/resources/manifests.h"
#include "operator/resources/names.h"
#include "operator/resources/quantity.h"
#include "operator/resources/reader.h"

namespace millrace::resources {
namespace {

constexpr Range kBrokersRange{1, 1000};
constexpr Range kPortRange{1024, 65535};
constexpr Range kNodePortRange{1, 65535};
/// Names of ports that brokers have anyhow.
const std::set<std::string> kTakenNames = {"kafka", "internal", "grpc", "http"};

Labels labels_of(const Json& object) {
  Labels labels;
  if (!object.is_object()) return labels;
  for (const auto& [name, value] : object.items()) {
    if (value.is_string()) labels[name] = value.get<std::string>();
  }
  return labels;
}

void read_storage(Reader reader, Storage& storage) {
  reader.text("size", storage.size);
  reader.text("storageClassName", storage.storage_class);
  reader.flag("deleteWithCluster", storage.delete_with_cluster);
  reader.flag("deleteOnScaleDown", storage.delete_on_scale_down);
  const auto bytes = quantity_bytes(storage.size);
  if (!bytes || *bytes <= 0) reader.problem("size", "must be an amount such as 100Gi");
}

void read_pod(Reader reader, PodOptions& pod) {
  reader.object("resources", pod.resources);
  reader.object("nodeSelector", pod.node_selector);
  reader.object("affinity", pod.affinity);
  reader.array("tolerations", pod.tolerations);
  reader.text("priorityClassName", pod.priority_class);
  reader.labels("labels", pod.labels);
  reader.labels("annotations", pod.annotations);
  reader.array("imagePullSecrets", pod.image_pull_secrets);
  reader.integer("terminationGracePeriodSeconds", pod.termination_grace_s, {35, 86400});
  for (const Labels* const given : {&pod.labels, &pod.annotations}) {
    for (const auto& [name, value] : *given) {
      if (name.starts_with("millrace.dev/") || name.starts_with("app.kubernetes.io/")) {
        reader.problem(given == &pod.labels ? "labels" : "annotations",
                       fmt::format("may not have {}: the operator uses it", name));
      }
    }
  }
}

std::optional<ListenerType> listener_type(std::string_view text) {
  if (text == "internal") return ListenerType::kInternal;
  if (text == "nodeport") return ListenerType::kNodePort;
  if (text == "loadbalancer") return ListenerType::kLoadBalancer;
  return std::nullopt;
}

bool is_port_name(std::string_view name) {
  if (name.empty() || name.size() > 15) return false;
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return letter(name.front()) && name.back() != '-' &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; });
}

Listener read_listener(Reader& reader) {
  Listener listener;
  listener.name.clear();
  listener.port = 0;
  std::string type = "internal";
  reader.text("name", listener.name);
  reader.integer("port", listener.port, kPortRange);
  reader.text("type", type);
  reader.labels("annotations", listener.annotations);
  reader.text("loadBalancerClass", listener.load_balancer_class);
  reader.text("advertisedHost", listener.advertised_host);
  std::int32_t first = 0;
  reader.integer("firstNodePort", first, kNodePortRange);
  if (first != 0) listener.first_node_port = first;
  if (const auto known = listener_type(type)) {
    listener.type = *known;
  } else {
    reader.problem("type", "must be internal, nodeport or loadbalancer");
  }
  if (!is_port_name(listener.name)) {
    reader.problem("name", "must be of at most 15 lower-case letters, digits and '-'");
  }
  if (listener.port == 0) reader.problem("port", "is missing");
  if (listener.port == kInternalPort || listener.port == kGrpcPort || listener.port == kHttpPort) {
    reader.problem("port", fmt::format("may not be {}: the brokers use it", listener.port));
  }
  if (listener.first_node_port && listener.type != ListenerType::kNodePort) {
    reader.problem("firstNodePort", "is for listeners of type nodeport");
  }
  return listener;
}

void read_listeners(Reader& spec, std::vector<Listener>& listeners) {
  std::set<std::string> names;
  std::set<std::int32_t> ports;
  std::size_t internal = 0;
  for (Reader& reader : spec.each("listeners")) {
    Listener listener = read_listener(reader);
    if (!names.insert(listener.name).second) reader.problem("name", "is there twice");
    if (!ports.insert(listener.port).second) reader.problem("port", "is there twice");
    if (kTakenNames.count(listener.name) > 0) {
      reader.problem("name", fmt::format("may not be {}: the brokers use it", listener.name));
    }
    if (listener.type == ListenerType::kInternal) ++internal;
    listeners.push_back(std::move(listener));
  }
  if (listeners.empty()) {
    listeners.emplace_back();
    internal = 1;
  }
  if (internal != 1) {
    spec.problem("listeners", "must have exactly one of type internal: brokers are found by it");
  }
}

}  // namespace

Identity identity_of(const Json& object) {
  const Json& metadata = at(object, "metadata");
  Identity identity{.space = text_of(at(metadata, "namespace")),
                    .name = text_of(at(metadata, "name")),
                    .uid = text_of(at(metadata, "uid")),
                    .generation = integer_of(at(metadata, "generation")).value_or(0),
                    .resource_version = text_of(at(metadata, "resourceVersion")),
                    .created = text_of(at(metadata, "creationTimestamp")),
                    .labels = labels_of(at(metadata, "labels")),
                    .annotations = labels_of(at(metadata, "annotations")),
                    .finalizers = {},
                    .deleting = !text_of(at(metadata, "deletionTimestamp")).empty()};
  if (const Json& finalizers = at(metadata, "finalizers"); finalizers.is_array()) {
    for (const Json& finalizer : finalizers) identity.finalizers.push_back(text_of(finalizer));
  }
  return identity;
}

Parsed<ClusterSpec> parse_cluster_spec(const Json& object, const ClusterDefaults& defaults) {
  Parsed<ClusterSpec> parsed;
  ClusterSpec& spec = parsed.value;
  Reader reader(at(object, "spec"), "spec", parsed.problems);
  spec.image = defaults.image;
  reader.integer("brokers", spec.brokers, kBrokersRange);
  reader.text("image", spec.image);
  reader.text("imagePullPolicy", spec.image_pull_policy);
  read_storage(reader.inside("storage"), spec.storage);
  read_pod(reader.inside("pod"), spec.pod);
  reader.inside("rack").text("topologyKey", spec.rack_topology_key);
  read_listeners(reader, spec.listeners);
  reader.settings("config", spec.config);
  Reader rollout = reader.inside("rollout");
  rollout.integer("atOnce", spec.rollout.at_once, {0, 1000});
  rollout.integer("pauseSeconds", spec.rollout.pause_s, {0, 86400});
  Reader metrics = reader.inside("metrics");
  metrics.flag("podMonitor", spec.pod_monitor);
  metrics.labels("podMonitorLabels", spec.pod_monitor_labels);
  reader.inside("networkPolicy").flag("enabled", spec.network_policy);

  if (spec.image.empty()) reader.problem("image", "is missing");
  for (const auto& [name, value] : spec.config) {
    if (is_reserved_setting(name)) {
      reader.problem("config", fmt::format("may not have {}: the operator decides it", name));
    }
  }
  const auto factor = spec.config.find("default.replication.factor");
  if (factor != spec.config.end() && std::atoi(factor->second.c_str()) > spec.brokers) {
    reader.problem("config", fmt::format("asks for default.replication.factor {} of {} brokers",
                                         factor->second, spec.brokers));
  }
  return parsed;
}

const Listener& internal_listener(const ClusterSpec& spec) {
  const auto found =
      std::find_if(spec.listeners.begin(), spec.listeners.end(),
                   [](const Listener& one) { return one.type == ListenerType::kInternal; });
  CHECK(found != spec.listeners.end(), "a cluster without an internal listener");
  return *found;
}

}  // namespace millrace::resources
