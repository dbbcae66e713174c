// Where pods stand, and how they are reached from outside: they cannot find out by themselves.
#include <fmt/format.h>

#include <utility>

#include "operator/plan/parts.h"
#include "operator/resources/fields.h"
#include "operator/resources/names.h"

namespace millrace::plan {
namespace {

using resources::at;
using resources::integer_of;
using resources::Listener;
using resources::ListenerType;
using resources::text_of;

/// The address by which a node is best reached from outside.
std::string address_of(const Json& node) {
  std::string internal;
  const Json& addresses = at(node, "status", "addresses");
  if (!addresses.is_array()) return internal;
  for (const Json& address : addresses) {
    const std::string type = text_of(at(address, "type"));
    if (type == "ExternalIP") return text_of(at(address, "address"));
    if (type == "InternalIP" && internal.empty()) internal = text_of(at(address, "address"));
  }
  return internal;
}

std::string join(const std::string& host, std::int64_t port) {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string filled(std::string host, std::int32_t broker) {
  constexpr std::string_view kBroker = "{broker}";
  const std::size_t found = host.find(kBroker);
  if (found == std::string::npos) return host;
  return host.replace(found, kBroker.size(), broker < 0 ? "bootstrap" : fmt::format("{}", broker));
}

/// Host and port of one outside Service; nullopt: not known yet. `broker` -1: of all.
std::optional<std::string> address_of_service(const Picture& picture, const Listener& listener,
                                              const Json* service, std::int32_t broker) {
  if (service == nullptr) return std::nullopt;
  if (listener.type == ListenerType::kLoadBalancer) {
    if (listener.advertised_host)
      return join(filled(*listener.advertised_host, broker), listener.port);
    const Json& ingress = at(*service, "status", "loadBalancer", "ingress");
    if (!ingress.is_array() || ingress.empty()) return std::nullopt;
    const std::string name = text_of(at(ingress[0], "hostname"));
    const std::string host = name.empty() ? text_of(at(ingress[0], "ip")) : name;
    if (host.empty()) return std::nullopt;
    return join(host, listener.port);
  }
  const Json& ports = at(*service, "spec", "ports");
  if (!ports.is_array() || ports.empty()) return std::nullopt;
  const auto port = integer_of(at(ports[0], "nodePort"));
  if (!port) return std::nullopt;
  if (listener.advertised_host) return join(filled(*listener.advertised_host, broker), *port);
  // Through any pod's node, and a broker through its own.
  for (const auto& [ordinal, pod] : picture.pods) {
    if ((broker >= 0 && ordinal != broker) || pod.node.empty()) continue;
    const auto node = picture.observation->nodes.find(pod.node);
    std::string host = node == picture.observation->nodes.end() ? "" : address_of(node->second);
    if (host.empty()) host = pod.host_ip;
    if (!host.empty()) return join(host, *port);
  }
  return std::nullopt;
}

/// Which node stands where, for pods that are not placed yet too. A node that is not known, because
/// the operator may not read nodes, is in no rack; then nothing is written, and nothing taken away.
void tell_racks(Draft& draft) {
  const Picture& picture = draft.picture;
  const std::string& key = picture.wanted().rack_topology_key;
  if (key.empty()) return;
  std::map<std::string, std::string> racks;
  for (const auto& [name, node] : picture.observation->nodes) {
    const std::string rack = text_of(at(node, "metadata", "labels", key));
    if (!rack.empty()) racks.emplace(name, rack);
  }
  for (const auto& [ordinal, pod] : picture.pods) {
    if (pod.node.empty() || racks.count(pod.node) > 0) continue;
    draft.say(Reason::kRackUnknown, "pod " + pod.name,
              picture.observation->nodes.empty()
                  ? "the operator may not read nodes"
                  : fmt::format("node {} has no label {}", pod.node, key));
  }
  if (racks.empty()) return;
  apply_child(draft, Step::kPlaces, resources::racks_map(picture.request(draft.replicas), racks));
}

}  // namespace

OutsideAddresses outside_addresses(const Picture& picture, const Listener& listener) {
  OutsideAddresses addresses;
  const std::string& cluster = picture.identity.name;
  addresses.bootstrap = address_of_service(
      picture, listener,
      picture.child("Service", resources::names::outside_bootstrap(cluster, listener.name)), -1);
  for (std::int32_t broker = 0; broker < picture.replicas; ++broker) {
    const auto address = address_of_service(
        picture, listener,
        picture.child("Service", resources::names::outside(cluster, broker, listener.name)),
        broker);
    if (address) addresses.brokers.emplace(broker, *address);
  }
  return addresses;
}

void plan_places(Draft& draft) {
  const Picture& picture = draft.picture;
  tell_racks(draft);
  std::map<std::string, std::map<std::int32_t, std::string>> told;
  bool outside = false;
  for (const Listener& listener : picture.wanted().listeners) {
    if (listener.type == ListenerType::kInternal) continue;
    outside = true;
    const OutsideAddresses addresses = outside_addresses(picture, listener);
    for (const auto& [ordinal, pod] : picture.pods) {
      if (ordinal >= picture.replicas || pod.node.empty()) continue;
      if (addresses.brokers.count(ordinal) > 0) continue;
      draft.say(Reason::kAddressPending,
                fmt::format("service {}", resources::names::outside(picture.identity.name, ordinal,
                                                                    listener.name)));
      draft.again(std::chrono::seconds(5));
    }
    told[listener.name] = addresses.brokers;
  }
  if (!outside) return;
  apply_child(draft, Step::kPlaces, resources::outside_map(picture.request(draft.replicas), told));
}

}  // namespace millrace::plan
