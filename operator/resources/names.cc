#include "operator/resources/names.h"

#include <fmt/format.h>

#include <charconv>

namespace millrace::resources {
namespace names {

std::string stateful_set(std::string_view cluster) {
  return std::string(cluster);
}
std::string pod(std::string_view cluster, std::int32_t broker) {
  return fmt::format("{}-{}", cluster, broker);
}
std::string volume(std::string_view cluster, std::int32_t broker) {
  return fmt::format("data-{}-{}", cluster, broker);
}
std::string headless(std::string_view cluster) {
  return fmt::format("{}-brokers", cluster);
}
std::string bootstrap(std::string_view cluster) {
  return fmt::format("{}-bootstrap", cluster);
}
std::string config(std::string_view cluster) {
  return fmt::format("{}-config", cluster);
}
std::string racks(std::string_view cluster) {
  return fmt::format("{}-racks", cluster);
}
std::string outside_addresses(std::string_view cluster) {
  return fmt::format("{}-outside", cluster);
}
std::string budget(std::string_view cluster) {
  return std::string(cluster);
}
std::string service_account(std::string_view cluster) {
  return std::string(cluster);
}
std::string network_policy(std::string_view cluster) {
  return std::string(cluster);
}
std::string pod_monitor(std::string_view cluster) {
  return std::string(cluster);
}
std::string outside(std::string_view cluster, std::int32_t broker, std::string_view listener) {
  return fmt::format("{}-{}-{}", cluster, broker, listener);
}
std::string outside_bootstrap(std::string_view cluster, std::string_view listener) {
  return fmt::format("{}-bootstrap-{}", cluster, listener);
}
std::string host(std::string_view space, std::string_view cluster, std::int32_t broker) {
  return fmt::format("{}.{}.{}.svc", pod(cluster, broker), headless(cluster), space);
}

}  // namespace names

std::optional<std::int32_t> ordinal_of_pod(std::string_view cluster, std::string_view pod) {
  if (pod.size() < cluster.size() + 2 || !pod.starts_with(cluster) || pod[cluster.size()] != '-') {
    return std::nullopt;
  }
  const std::string_view digits = pod.substr(cluster.size() + 1);
  std::int32_t ordinal = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  // "events-02" is nobody's: a StatefulSet never writes it.
  if (ordinal < 0 || fmt::format("{}", ordinal) != digits) return std::nullopt;
  return ordinal;
}

std::optional<std::int32_t> ordinal_of_volume(std::string_view cluster, std::string_view volume) {
  constexpr std::string_view kPrefix = "data-";
  if (!volume.starts_with(kPrefix)) return std::nullopt;
  return ordinal_of_pod(cluster, volume.substr(kPrefix.size()));
}

Labels child_labels(std::string_view cluster) {
  Labels labels = selector_labels(cluster);
  labels.emplace("app.kubernetes.io/managed-by", kFieldManager);
  labels.emplace(kClusterLabel, cluster);
  return labels;
}

Labels selector_labels(std::string_view cluster) {
  return {{"app.kubernetes.io/name", "millrace"},
          {"app.kubernetes.io/instance", std::string(cluster)},
          {"app.kubernetes.io/component", "broker"}};
}

}  // namespace millrace::resources
