#include "tests/sim/operator/pod_settings.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "broker/server/config_file.h"
#include "broker/server/options.h"
#include "operator/kube/fields.h"

namespace millrace::sim {
namespace {

using kube::Json;
using kube::text_at;

/// "metadata.labels['apps.kubernetes.io/pod-index']"
std::string field(const Json& pod, const std::string& path) {
  if (path == "metadata.name") return text_at(pod, {"metadata", "name"});
  if (path == "spec.nodeName") return text_at(pod, {"spec", "nodeName"});
  constexpr std::string_view kLabel = "metadata.labels['";
  if (!path.starts_with(kLabel)) return {};
  return kube::label_of(pod, path.substr(kLabel.size(), path.size() - kLabel.size() - 2))
      .value_or("");
}

/// $(NAME) of variables that came before.
std::string expanded(std::string text, const std::map<std::string, std::string>& variables) {
  for (const auto& [name, value] : variables) {
    const std::string reference = fmt::format("$({})", name);
    for (std::size_t at = 0; (at = text.find(reference, at)) != std::string::npos;)
      text.replace(at, reference.size(), value);
  }
  return text;
}

std::map<std::string, std::string> environment_of(const Json& pod, const Json& container) {
  std::map<std::string, std::string> variables;
  for (const Json& variable : container.value("env", Json::array())) {
    const std::string path = text_at(variable, {"valueFrom", "fieldRef", "fieldPath"});
    variables[text_at(variable, {"name"})] =
        path.empty() ? expanded(text_at(variable, {"value"}), variables) : field(pod, path);
  }
  return variables;
}

/// What the volume of this name shows as a file; nullopt: there is none.
std::optional<std::string> file_of(const Json& pod, const std::string& volume,
                                   const std::string& file,
                                   const std::map<std::string, Json>& maps) {
  for (const Json& one : pod.at("spec").value("volumes", Json::array())) {
    if (text_at(one, {"name"}) != volume) continue;
    const auto map = maps.find(text_at(one, {"configMap", "name"}));
    if (map == maps.end()) return std::nullopt;
    std::string key = file;
    if (const Json* const items = kube::find(one, {"configMap", "items"})) {
      for (const Json& item : *items)
        if (text_at(item, {"path"}) == file) key = text_at(item, {"key"});
    }
    const Json* const text = kube::find(map->second, {"data", key});
    if (text == nullptr || !text->is_string()) return std::nullopt;
    return text->get<std::string>();
  }
  return std::nullopt;
}

}  // namespace

PodSettings settings_of(const Json& pod, const std::map<std::string, Json>& maps) {
  PodSettings told;
  const auto file = file_of(pod, "config", "millrace.yaml", maps);
  if (!file) {
    told.missing = true;
    return told;
  }
  auto parsed = server::parse_config_file(*file, "/etc/millrace/settings/millrace.yaml");
  if (!parsed.ok()) {
    told.complaint = parsed.error().detail;
    return told;
  }
  told.config = std::move(parsed->config);
  std::vector<std::string> environment;
  for (const auto& [name, value] : environment_of(pod, pod.at("spec").at("containers").at(0)))
    environment.push_back(fmt::format("{}={}", name, value));
  const auto options = server::read_options({}, environment);
  if (!options.ok()) {
    told.complaint = options.error().detail;
    return told;
  }
  for (const auto& [name, value] : options->config) told.config[name] = value;
  // Its own file of racks is named after its node.
  const std::string node = text_at(pod, {"spec", "nodeName"});
  if (const auto rack = file_of(pod, "racks", node, maps)) told.config["broker.rack"] = *rack;
  return told;
}

}  // namespace millrace::sim
