#include <fmt/format.h>

#include <charconv>

#include "operator/plan/parts.h"

namespace millrace::plan {
namespace {

std::optional<std::int64_t> number(const std::map<std::string, std::string>& config,
                                   const std::string& name) {
  const auto found = config.find(name);
  if (found == config.end()) return std::nullopt;
  std::int64_t value = 0;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_set(const std::map<std::string, std::string>& config, const std::string& name,
            std::string_view value) {
  const auto found = config.find(name);
  return found != config.end() && found->second == value;
}

}  // namespace

std::vector<std::string> unsafe_settings(const resources::ClusterSpec& spec) {
  std::vector<std::string> unsafe;
  if (spec.brokers < 3) {
    unsafe.push_back(
        fmt::format("spec.brokers is {}: fewer than three brokers do not survive the loss of one",
                    spec.brokers));
  }
  const auto factor = number(spec.config, "default.replication.factor");
  if (factor == 1) {
    unsafe.push_back("default.replication.factor is 1: new topics are lost with one disk");
  }
  const auto insync = number(spec.config, "min.insync.replicas");
  if (insync == 1 && spec.brokers >= 3 && factor.value_or(3) >= 3) {
    unsafe.push_back("min.insync.replicas is 1 with three replicas");
  }
  if (is_set(spec.config, "unclean.leader.election.enable", "true")) {
    unsafe.push_back("unclean.leader.election.enable is true: replicas that lack records may lead");
  }
  if (is_set(spec.config, "flush.mode", "relaxed")) {
    unsafe.push_back(
        "flush.mode is relaxed: a power cut of all brokers loses acknowledged records");
  }
  for (const resources::Listener& listener : spec.listeners) {
    if (listener.type == resources::ListenerType::kInternal) continue;
    unsafe.push_back(
        fmt::format("listener {} is reached from outside without encryption and authentication",
                    listener.name));
  }
  return unsafe;
}

}  // namespace millrace::plan
