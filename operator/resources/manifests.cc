#include "operator/resources/manifests.h"

#include <fmt/format.h>

#include "operator/resources/fields.h"
#include "operator/resources/names.h"
#include "operator/resources/object.h"
#include "operator/resources/quantity.h"

namespace millrace::resources {
namespace {

Json port(std::string_view name, std::int32_t number) {
  return {{"name", name}, {"port", number}, {"targetPort", name}, {"protocol", "TCP"}};
}

Json outside_service(const ManifestRequest& request, const Listener& listener, std::string name) {
  Json service = child(request, "v1", "Service", std::move(name));
  for (const auto& [key, value] : listener.annotations) {
    service["metadata"]["annotations"][key] = value;
  }
  service["metadata"]["labels"]["millrace.dev/listener"] = listener.name;
  Json& spec = service["spec"];
  spec["selector"] = selector_labels(request.cluster.name);
  spec["ports"] = Json::array({port(listener.name, listener.port)});
  const bool balanced = listener.type == ListenerType::kLoadBalancer;
  spec["type"] = balanced ? "LoadBalancer" : "NodePort";
  if (balanced && listener.load_balancer_class) {
    spec["loadBalancerClass"] = *listener.load_balancer_class;
  }
  return service;
}

Json outside_of_broker(const ManifestRequest& request, const Listener& listener,
                       std::int32_t broker) {
  Json service = outside_service(request, listener,
                                 names::outside(request.cluster.name, broker, listener.name));
  Json& spec = service["spec"];
  spec["selector"]["statefulset.kubernetes.io/pod-name"] = names::pod(request.cluster.name, broker);
  // Only its own clients come here, and who leads a partition has to be reached in any case.
  spec["publishNotReadyAddresses"] = true;
  spec["externalTrafficPolicy"] = "Local";
  if (listener.first_node_port) {
    spec["ports"][0]["nodePort"] = *listener.first_node_port + broker;
  }
  service["metadata"]["labels"]["millrace.dev/broker"] = fmt::format("{}", broker);
  return service;
}

}  // namespace

Json service_account(const ManifestRequest& request) {
  Json account =
      child(request, "v1", "ServiceAccount", names::service_account(request.cluster.name));
  account["automountServiceAccountToken"] = false;
  return account;
}

Json config_map(const ManifestRequest& request) {
  Json map = child(request, "v1", "ConfigMap", names::config(request.cluster.name));
  for (const auto& [revision, file] : request.older_settings) {
    map["data"][revision + ".yaml"] = file;
  }
  map["data"][settings_revision(request) + ".yaml"] = settings_file(request);
  return map;
}

Json racks_map(const ManifestRequest& request, const std::map<std::string, std::string>& racks) {
  Json map = child(request, "v1", "ConfigMap", names::racks(request.cluster.name));
  map["data"] = racks;
  return map;
}

Json outside_map(const ManifestRequest& request,
                 const std::map<std::string, std::map<std::int32_t, std::string>>& addresses) {
  Json map = child(request, "v1", "ConfigMap", names::outside_addresses(request.cluster.name));
  std::string lines;
  for (const auto& [listener, brokers] : addresses) {
    for (const auto& [broker, address] : brokers) {
      lines += fmt::format("{} {} {}\n", listener, broker, address);
    }
  }
  map["data"]["addresses"] = lines;
  return map;
}

Json headless_service(const ManifestRequest& request) {
  Json service = child(request, "v1", "Service", names::headless(request.cluster.name));
  const Listener& listener = internal_listener(request.spec);
  service["spec"] = {
      {"clusterIP", "None"},
      {"publishNotReadyAddresses", true},
      {"selector", selector_labels(request.cluster.name)},
      {"ports", Json::array({port("kafka", listener.port), port("internal", kInternalPort),
                             port("grpc", kGrpcPort), port("http", kHttpPort)})}};
  return service;
}

Json bootstrap_service(const ManifestRequest& request) {
  Json service = child(request, "v1", "Service", names::bootstrap(request.cluster.name));
  const Listener& listener = internal_listener(request.spec);
  service["spec"] = {
      {"type", "ClusterIP"},
      {"selector", selector_labels(request.cluster.name)},
      {"ports", Json::array({port("kafka", listener.port), port("grpc", kGrpcPort)})}};
  return service;
}

std::vector<Json> outside_services(const ManifestRequest& request) {
  std::vector<Json> services;
  for (const Listener& listener : request.spec.listeners) {
    if (listener.type == ListenerType::kInternal) continue;
    Json all = outside_service(request, listener,
                               names::outside_bootstrap(request.cluster.name, listener.name));
    if (listener.first_node_port) {
      all["spec"]["ports"][0]["nodePort"] = *listener.first_node_port - 1;
    }
    services.push_back(std::move(all));
    for (std::int32_t broker = 0; broker < request.replicas; ++broker) {
      services.push_back(outside_of_broker(request, listener, broker));
    }
  }
  return services;
}

Json disruption_budget(const ManifestRequest& request) {
  Json budget =
      child(request, "policy/v1", "PodDisruptionBudget", names::budget(request.cluster.name));
  budget["spec"] = {{"maxUnavailable", 1},
                    {"selector", {{"matchLabels", selector_labels(request.cluster.name)}}}};
  return budget;
}

Json network_policy(const ManifestRequest& request) {
  Json policy = child(request, "networking.k8s.io/v1", "NetworkPolicy",
                      names::network_policy(request.cluster.name));
  const auto tcp = [](std::int32_t number) { return Json{{"protocol", "TCP"}, {"port", number}}; };
  const Json pods = {{"matchLabels", selector_labels(request.cluster.name)}};
  Json open = Json::array();
  for (const Listener& listener : request.spec.listeners) open.push_back(tcp(listener.port));
  open.push_back(tcp(kGrpcPort));
  open.push_back(tcp(kHttpPort));
  policy["spec"] = {{"podSelector", pods},
                    {"policyTypes", {"Ingress"}},
                    {"ingress", Json::array({{{"ports", open}},
                                             {{"ports", Json::array({tcp(kInternalPort)})},
                                              {"from", Json::array({{{"podSelector", pods}}})}}})}};
  return policy;
}

Json pod_monitor(const ManifestRequest& request) {
  Json monitor = child(request, "monitoring.coreos.com/v1", "PodMonitor",
                       names::pod_monitor(request.cluster.name));
  for (const auto& [key, value] : request.spec.pod_monitor_labels) {
    monitor["metadata"]["labels"][key] = value;
  }
  monitor["spec"] = {
      {"selector", {{"matchLabels", selector_labels(request.cluster.name)}}},
      {"podMetricsEndpoints",
       Json::array(
           {{{"port", "http"},
             {"path", "/metrics"},
             {"relabelings",
              Json::array({{{"action", "replace"},
                            {"sourceLabels", {"__meta_kubernetes_pod_label_millrace_dev_cluster"}},
                            {"targetLabel", "millrace_cluster"}}})}}})}};
  return monitor;
}

Json volume(const ManifestRequest& request, std::int32_t broker, const Json& observed) {
  Json claim =
      child(request, "v1", "PersistentVolumeClaim", names::volume(request.cluster.name, broker));
  Json& metadata = claim["metadata"];
  // Without an owner it outlives the cluster: that is what keeps the data.
  if (!request.spec.storage.delete_with_cluster) metadata.erase("ownerReferences");
  metadata["annotations"][std::string(kClusterIdAnnotation)] = request.cluster_id;
  metadata["annotations"][std::string(kVotersAnnotation)] = fmt::format("{}", request.voters);
  Json& spec = claim["spec"];
  spec["accessModes"] = {"ReadWriteOnce"};
  if (request.spec.storage.storage_class) {
    spec["storageClassName"] = *request.spec.storage.storage_class;
  }
  std::string size = request.spec.storage.size;
  if (!observed.is_null()) {
    const Json& there = at(observed, "spec");
    if (at(there, "accessModes").is_array()) spec["accessModes"] = at(there, "accessModes");
    spec.erase("storageClassName");
    if (const std::string name = text_of(at(there, "storageClassName")); !name.empty()) {
      spec["storageClassName"] = name;
    }
    const std::string now = text_of(at(there, "resources", "requests", "storage"));
    if (quantity_bytes(now).value_or(0) > quantity_bytes(size).value_or(0)) size = now;
  }
  spec["resources"]["requests"]["storage"] = size;
  return claim;
}

std::vector<Json> manifests(const ManifestRequest& request) {
  std::vector<Json> objects = {service_account(request), disruption_budget(request),
                               headless_service(request), bootstrap_service(request)};
  if (request.spec.network_policy) objects.push_back(network_policy(request));
  if (request.spec.pod_monitor) objects.push_back(pod_monitor(request));
  for (Json& service : outside_services(request)) objects.push_back(std::move(service));
  objects.push_back(config_map(request));
  objects.push_back(stateful_set(request));
  return objects;
}

}  // namespace millrace::resources
