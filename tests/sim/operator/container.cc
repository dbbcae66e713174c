#include "tests/sim/operator/container.h"

#include "operator/kube/fields.h"
#include "operator/kube/timestamp.h"

namespace millrace::sim {
namespace {

using kube::Json;

Json condition(const char* type, bool is_true, const std::string& since) {
  return {{"type", type}, {"status", is_true ? "True" : "False"}, {"lastTransitionTime", since}};
}

}  // namespace

Json Container::status(const Json& pod) const {
  const std::string created = kube::text_at(pod, {"metadata", "creationTimestamp"});
  const std::string changed = ready_changed.value() == 0 ? created : kube::time_text(ready_changed);
  Json state = {{"waiting", {{"reason", waiting.empty() ? "ContainerCreating" : waiting}}}};
  if (process) state = {{"running", {{"startedAt", kube::time_text(started_at)}}}};
  Json one = {{"name", "broker"},
              {"image", kube::text_at(pod.at("spec").at("containers").at(0), {"image"})},
              {"ready", ready},
              {"started", process.has_value()},
              {"restartCount", std::max(0, restarts)},
              {"state", std::move(state)}};
  if (restarts > 0 || exit_code != 0)
    one["lastState"] = {{"terminated", {{"exitCode", exit_code}, {"reason", "Error"}}}};
  return {{"phase", restarts < 0 ? "Pending" : "Running"},
          {"podIP", address},
          {"podIPs", Json::array({{{"ip", address}}})},
          {"hostIP", "192.0.2.1"},
          {"startTime", created},
          {"containerStatuses", Json::array({std::move(one)})},
          {"conditions", Json::array({condition("PodScheduled", true, created),
                                      condition("Initialized", true, created),
                                      condition("ContainersReady", ready, changed),
                                      condition("Ready", ready, changed)})}};
}

}  // namespace millrace::sim
