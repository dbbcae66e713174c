// const auto settings = settings_of(pod, config_maps);
//
// What a broker in a pod is told: by its file, its environment and its rack, as the operator
// described them and as the shipping program reads them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "broker/model/config_key.h"
#include "operator/kube/api.h"

namespace millrace::sim {

struct PodSettings {
  /// The file that the pod mounts is not there: its container is not started.
  bool missing = false;
  /// Empty: the program begins with `config`. Otherwise it ends with this complaint.
  std::string complaint;
  model::ConfigMap config;
};

/// `maps`: the ConfigMaps of the pod's namespace, by name. Requires that the pod has a node.
PodSettings settings_of(const kube::Json& pod, const std::map<std::string, kube::Json>& maps);

}  // namespace millrace::sim
