// Controllers and kubelets of World.
#include <fmt/format.h>

#include <algorithm>

#include "operator/plan/testing/world.h"
#include "operator/resources/fields.h"
#include "operator/resources/manifests.h"
#include "operator/resources/names.h"

namespace millrace::plan::testing {

using resources::at;
using resources::integer_of;
using resources::text_of;

namespace {

void set_condition(Json& pod, const std::string& type, bool holds, const std::string& reason,
                   const std::string& since) {
  Json& conditions = pod["status"]["conditions"];
  if (!conditions.is_array()) conditions = Json::array();
  const Json next = {{"type", type},
                     {"status", holds ? "True" : "False"},
                     {"reason", reason},
                     {"lastTransitionTime", since},
                     {"message", reason}};
  for (Json& condition : conditions) {
    if (condition["type"] != type) continue;
    if (condition["status"] != next["status"]) condition = next;
    return;
  }
  conditions.push_back(next);
}

Json waiting(const std::string& reason) {
  return {{"waiting", {{"reason", reason}}}};
}

}  // namespace

/// Those that are to go, and that no pod uses any more.
void World::end_claims() {
  std::erase_if(objects_["PersistentVolumeClaim"], [&](const auto& entry) {
    const auto& [name, claim] = entry;
    const auto ordinal = resources::ordinal_of_volume("events", name);
    if (at(claim, "metadata", "deletionTimestamp").is_null()) return false;
    if (ordinal && objects_["Pod"].count(resources::names::pod("events", *ordinal)) > 0)
      return false;
    disks.erase(text_of(at(claim, "metadata", "uid")));
    applied_.erase("PersistentVolumeClaim/" + name);
    ++writes;
    return true;
  });
}

void World::make_pod(const Json& set, std::int32_t ordinal) {
  const std::string name = resources::names::pod("events", ordinal);
  Json pod = at(set, "spec", "template");
  pod["metadata"]["name"] = name;
  pod["metadata"]["namespace"] = "shop";
  pod["metadata"]["uid"] = fmt::format("uid-{}", next_++);
  pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = fmt::format("{}", ordinal);
  pod["status"]["phase"] = "Pending";
  stamp(pod);
  objects_["Pod"][name] = std::move(pod);
  const std::string claim = resources::names::volume("events", ordinal);
  auto& claims = objects_["PersistentVolumeClaim"];
  if (claims.count(claim) > 0) return;
  Json made = at(set, "spec", "volumeClaimTemplates")[0];
  made["kind"] = "PersistentVolumeClaim";
  made["metadata"]["name"] = claim;
  made["metadata"]["uid"] = fmt::format("uid-{}", next_++);
  stamp(made);
  claims[claim] = std::move(made);
}

void World::run_stateful_set() {
  auto& sets = objects_["StatefulSet"];
  const auto found = sets.find("events");
  auto& pods = objects_["Pod"];
  std::vector<std::string> gone;
  for (auto& [name, pod] : pods) {
    const auto ordinal = resources::ordinal_of_pod("events", name);
    if (!ordinal) continue;
    if (found == sets.end() || *ordinal >= replicas()) {
      pod["metadata"]["deletionTimestamp"] = rfc3339(now_);
    }
    if (at(pod, "metadata", "deletionTimestamp").is_null()) continue;
    stop_broker(*ordinal);
    gone.push_back(name);
  }
  for (const std::string& name : gone) pods.erase(name);
  end_claims();
  if (found == sets.end()) return;
  Json& set = found->second;
  if (at(set, "status", "observedGeneration") != at(set, "metadata", "generation")) {
    set["status"]["observedGeneration"] = at(set, "metadata", "generation");
    stamp(set);
  }
  for (std::int32_t ordinal = 0; ordinal < replicas(); ++ordinal) {
    if (pods.count(resources::names::pod("events", ordinal)) == 0) make_pod(set, ordinal);
  }
}

void World::run_volumes() {
  for (auto& [name, claim] : objects_["PersistentVolumeClaim"]) {
    const Json size = at(claim, "spec", "resources", "requests", "storage");
    if (at(claim, "status", "capacity", "storage") == size) continue;
    claim["status"]["phase"] = "Bound";
    claim["status"]["capacity"]["storage"] = size;
    stamp(claim);
  }
}

std::string World::rack_of(const Json& pod) const {
  const auto nodes = objects_.find("Node");
  const auto racks = objects_.find("ConfigMap");
  if (nodes == objects_.end() || racks == objects_.end() || racks_ignored) return {};
  const auto map = racks->second.find("events-racks");
  if (map == racks->second.end()) return {};
  return text_of(at(map->second, "data", text_of(at(pod, "spec", "nodeName"))));
}

void World::run_kubelet(const std::string& name, Json& pod) {
  const std::int32_t broker = *resources::ordinal_of_pod("events", name);
  const Json before = pod;
  if (text_of(at(pod, "spec", "nodeName")).empty()) {
    if (unplaced.count(broker) > 0) {
      set_condition(pod, "PodScheduled", false, "Unschedulable", rfc3339(now_));
    } else {
      pod["spec"]["nodeName"] = fmt::format("node-{}", broker % 3);
      set_condition(pod, "PodScheduled", true, "", rfc3339(now_));
    }
  }
  if (!text_of(at(pod, "spec", "nodeName")).empty()) start_broker(broker, pod);
  const auto process = processes.find(broker);
  const bool serves = process != processes.end() && process->second.recovers == 0 &&
                      (members.count(broker) > 0 || is_retired(process->second.directory_id));
  set_condition(pod, "Ready", serves, serves ? "" : "ContainersNotReady", rfc3339(now_));
  if (pod != before) stamp(pod);
}

void World::start_broker(std::int32_t broker, Json& pod) {
  const std::string uid = text_of(at(pod, "metadata", "uid"));
  const auto running = processes.find(broker);
  if (running != processes.end() && running->second.pod_uid == uid) return;
  Json container = {{"name", "broker"}, {"restartCount", 0}};
  const std::string image = text_of(at(pod["spec"]["containers"][0], "image"));
  const std::string file = resources::settings_revision_of(pod) + ".yaml";
  const auto maps = objects_["ConfigMap"].find("events-config");
  const bool has_file =
      maps != objects_["ConfigMap"].end() && at(maps->second, "data", file).is_string();
  const bool bad_file =
      has_file && text_of(at(maps->second, "data", file)).find("nonsense") != std::string::npos;
  const std::string claim = resources::names::volume("events", broker);
  Disk& disk = disks[text_of(at(objects_["PersistentVolumeClaim"][claim], "metadata", "uid"))];
  if (missing_images.count(image) > 0) {
    container["state"] = waiting("ImagePullBackOff");
  } else if (!has_file) {
    container["state"] = waiting("ContainerCreating");
  } else if (bad_images.count(image) > 0 || bad_file || is_retired(disk.directory_id)) {
    container["restartCount"] = 5;
    container["state"] = waiting("CrashLoopBackOff");
    container["lastState"] = {{"terminated", {{"exitCode", 1}, {"reason", "Error"}}}};
  } else if (stopped_.count(broker) > 0) {
    container["state"] = waiting("ContainerCreating");
  } else {
    if (disk.directory_id.empty()) disk.directory_id = fmt::format("dir{}", next_++);
    processes[broker] = {uid, fmt::format("run{}", next_++), disk.directory_id, rack_of(pod),
                         recovery};
    container["state"] = {{"running", {{"startedAt", rfc3339(now_)}}}};
  }
  pod["status"]["phase"] = "Running";
  pod["status"]["containerStatuses"] = Json::array({container});
}

void World::tick() {
  advance(std::chrono::seconds(2));
  run_stateful_set();
  run_volumes();
  for (auto& [name, pod] : objects_["Pod"]) {
    if (at(pod, "metadata", "deletionTimestamp").is_null()) run_kubelet(name, pod);
  }
  run_brokers();
}

void World::settle(int passes) {
  // Time has to pass without anything: recoveries, drains, pauses, and permits that nobody uses.
  constexpr int kQuietEnough = 30;
  int quiet = 0;
  for (int i = 0; i < passes; ++i) {
    const std::uint64_t before = writes;
    const ClusterPlan plan = pass();
    tick();
    const bool acted = std::any_of(plan.actions.begin(), plan.actions.end(),
                                   [](const Action& action) { return !action.asks; });
    quiet = acted || plan.status_changed || writes != before ? 0 : quiet + 1;
    if (quiet > 6) advance(std::chrono::seconds(15));
    if (quiet == kQuietEnough) return;
  }
  broken.push_back(
      fmt::format("not settled after {} passes: {}", passes, log.empty() ? "" : log.back()));
}

}  // namespace millrace::plan::testing
