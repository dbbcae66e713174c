// The API server of World: objects and what may be done to them.
#include <fmt/format.h>

#include "operator/plan/testing/world.h"
#include "operator/resources/fields.h"
#include "operator/resources/names.h"
#include "operator/resources/quantity.h"

namespace millrace::plan::testing {

using resources::at;
using resources::integer_of;
using resources::text_of;

namespace {

/// Takes out of `target` what `before` named and `after` does not.
void forget(Json& target, const Json& before, const Json& after) {
  if (!target.is_object() || !before.is_object()) return;
  for (const auto& [name, value] : before.items()) {
    if (!target.contains(name)) continue;
    if (!after.is_object() || !after.contains(name)) {
      target.erase(name);
    } else {
      forget(target[name], value, after.at(name));
    }
  }
}

}  // namespace

World::World() {
  for (int i = 0; i < 3; ++i) {
    const std::string name = fmt::format("node-{}", i);
    objects_["Node"][name] = {
        {"metadata",
         {{"name", name},
          {"labels", {{"topology.kubernetes.io/zone", fmt::format("zone-{}", "abc"[i])}}}}},
        {"status",
         {{"addresses", Json::array({{{"type", "InternalIP"},
                                      {"address", fmt::format("10.0.0.{}", i + 1)}}})}}}};
  }
  cluster() = {
      {"apiVersion", resources::kApiVersion},
      {"kind", resources::kClusterKind},
      {"metadata",
       {{"name", "events"},
        {"namespace", "shop"},
        {"uid", "cluster-uid"},
        {"generation", 1},
        {"resourceVersion", "1"},
        {"creationTimestamp", "2023-11-14T00:00:00Z"}}},
      {"spec", {{"brokers", 3}, {"image", "millrace:1"}, {"storage", {{"size", "10Gi"}}}}}};
}

void World::stamp(Json& object) {
  object["metadata"]["resourceVersion"] = fmt::format("{}", next_++);
  ++writes;
}

bool World::fail(Answer::Kind kind, std::string sentence) {
  kind_ = kind;
  sentence_ = std::move(sentence);
  return false;
}

ClusterObservation World::observe() const {
  ClusterObservation seen;
  seen.defaults.image = "millrace:1";
  seen.synced = synced;
  seen.has_pod_monitors = true;
  for (const auto& [kind, objects] : objects_) {
    if (kind == "MillraceCluster") {
      seen.cluster = objects.at("events");
    } else if (kind == "Pod") {
      seen.pods = objects;
    } else if (kind == "PersistentVolumeClaim") {
      seen.volumes = objects;
    } else if (kind == "Node") {
      if (nodes_readable) seen.nodes = objects;
    } else {
      seen.children[kind] = objects;
    }
  }
  seen.view = view();
  seen.answers = answers;
  return seen;
}

ClusterPlan World::pass() {
  return pass_on(observe());
}

ClusterPlan World::pass_on(const ClusterObservation& observation) {
  ClusterPlan plan = plan_cluster(observation, now_);
  std::set<Step> failed;
  for (const Action& action : plan.actions) {
    if (failed.count(action.step) == 0 && !act(action)) failed.insert(action.step);
  }
  write_status(plan);
  return plan;
}

void World::write_status(const ClusterPlan& plan) {
  if (!plan.status_changed || objects_["MillraceCluster"].empty()) return;
  if (plan.resource_version != text_of(at(cluster(), "metadata", "resourceVersion"))) return;
  cluster()["status"].merge_patch(plan.status);
  stamp(cluster());
}

bool World::act(const Action& action) {
  const std::string name = key(action);
  const Answer before = answers.count(name) > 0 ? answers[name] : Answer{};
  sentence_.clear();
  bool done = std::visit(
      [&](const auto& deed) -> bool {
        using Deed = std::decay_t<decltype(deed)>;
        if constexpr (std::is_same_v<Deed, Create>) return create(deed);
        if constexpr (std::is_same_v<Deed, Apply>) return apply(deed);
        if constexpr (std::is_same_v<Deed, Patch>) return patch(deed);
        if constexpr (std::is_same_v<Deed, Delete>) return erase(deed);
        if constexpr (std::is_same_v<Deed, AcquirePermit>) return permit(deed);
        if constexpr (std::is_same_v<Deed, Drain>) return drain(deed);
        if constexpr (std::is_same_v<Deed, Decommission>) return decommission(deed);
        if constexpr (std::is_same_v<Deed, CancelDrain>) {
          if (!brokers_reachable) return fail(Answer::Kind::kFailed, "no broker answers");
          const auto member = members.find(deed.broker);
          if (member != members.end()) member->second.state = BrokerState::kActive;
          return true;
        }
        if constexpr (std::is_same_v<Deed, AlterBrokerConfig>) {
          if (!brokers_reachable) return fail(Answer::Kind::kFailed, "no broker answers");
          if (bad_settings.count(deed.name) > 0) {
            return fail(Answer::Kind::kRefused, "Invalid value for " + deed.name);
          }
          dynamic_config.erase(deed.name);
          if (deed.value) dynamic_config[deed.name] = *deed.value;
          return true;
        }
        return fail(Answer::Kind::kFailed, "not of a cluster");
      },
      action.deed);
  log.push_back(
      fmt::format("{} [{}]{}", name, code(action.reason), done ? "" : " FAILED: " + sentence_));
  if (done && lost_answers > 0) {
    --lost_answers;
    done = fail(Answer::Kind::kFailed, "the answer was lost");
  }
  if (done) {
    answers.erase(name);
  } else {
    answers[name] = {kind_, sentence_};
  }
  // A permit that is not granted is no failure.
  return done || std::holds_alternative<AcquirePermit>(action.deed);
}

bool World::create(const Create& create) {
  auto& objects = objects_[create.target.kind];
  if (objects.count(create.target.name) > 0) {
    return fail(Answer::Kind::kFailed, "it exists already");
  }
  Json object = create.object;
  object["metadata"]["uid"] = fmt::format("uid-{}", next_++);
  object["metadata"]["generation"] = 1;
  stamp(object);
  applied_[create.target.kind + "/" + create.target.name] = create.object;
  objects[create.target.name] = std::move(object);
  return true;
}

bool World::apply(const Apply& apply) {
  auto& objects = objects_[apply.target.kind];
  const auto found = objects.find(apply.target.name);
  const std::string version = text_of(at(apply.object, "metadata", "resourceVersion"));
  if (found == objects.end()) {
    if (!version.empty()) return fail(Answer::Kind::kFailed, "it is not there");
    return create({apply.target, apply.object});
  }
  Json& there = found->second;
  if (!version.empty() && version != text_of(at(there, "metadata", "resourceVersion"))) {
    return fail(Answer::Kind::kFailed, "the object has been modified");
  }
  Json next = there;
  Json& before = applied_[apply.target.kind + "/" + apply.target.name];
  forget(next, before, apply.object);
  next.merge_patch(apply.object);
  next["metadata"]["resourceVersion"] = at(there, "metadata", "resourceVersion");
  if (!check_change(there, next)) return false;
  before = apply.object;
  if (next == there) return true;
  if (at(next, "spec") != at(there, "spec")) {
    next["metadata"]["generation"] =
        integer_of(at(there, "metadata", "generation")).value_or(1) + 1;
  }
  check_replicas(there, next);
  there = std::move(next);
  stamp(there);
  return true;
}

bool World::check_change(const Json& before, const Json& after) {
  const std::string kind = text_of(at(before, "kind"));
  if (kind == "StatefulSet" &&
      at(before, "spec", "volumeClaimTemplates") != at(after, "spec", "volumeClaimTemplates")) {
    return fail(Answer::Kind::kRefused, "spec.volumeClaimTemplates: Forbidden");
  }
  if (kind != "PersistentVolumeClaim") return true;
  if (text_of(at(before, "metadata", "name")) == refused_volume) {
    return fail(Answer::Kind::kRefused, "admission webhook denied the request");
  }
  const auto size = [](const Json& claim) {
    return resources::quantity_bytes(text_of(at(claim, "spec", "resources", "requests", "storage")))
        .value_or(0);
  };
  if (size(after) < size(before)) {
    return fail(Answer::Kind::kRefused, "field can not be less than status.capacity");
  }
  if (size(after) > size(before) && !volumes_can_grow) {
    return fail(Answer::Kind::kRefused,
                "only dynamically provisioned pvc can be resized and the storageclass that "
                "provisions the pvc must support resize");
  }
  if (at(before, "spec", "storageClassName") != at(after, "spec", "storageClassName")) {
    return fail(Answer::Kind::kRefused, "spec is immutable after creation");
  }
  return true;
}

bool World::patch(const Patch& patch) {
  auto& objects = objects_[patch.target.kind];
  const auto found = objects.find(patch.target.name);
  if (found == objects.end() || text_of(at(found->second, "metadata", "uid")) != patch.uid) {
    return fail(Answer::Kind::kFailed, "it is not there, or another one");
  }
  const Json before = found->second;
  found->second.merge_patch(patch.patch);
  if (found->second != before) stamp(found->second);
  return true;
}

bool World::erase(const Delete& gone) {
  auto& objects = objects_[gone.target.kind];
  const auto found = objects.find(gone.target.name);
  if (found == objects.end()) return true;
  if (text_of(at(found->second, "metadata", "uid")) != gone.uid) {
    return fail(Answer::Kind::kFailed, "the uid is another one");
  }
  const std::string version = text_of(at(found->second, "metadata", "resourceVersion"));
  if (!gone.resource_version.empty() && gone.resource_version != version) {
    return fail(Answer::Kind::kFailed, "the object has been modified");
  }
  if (gone.target.kind == "Pod") {
    if (at(found->second, "metadata", "deletionTimestamp").is_null()) {
      check_pod_deletion(found->second);
    }
    found->second["metadata"]["deletionTimestamp"] = rfc3339(now_);
    stamp(found->second);
    return true;
  }
  if (gone.target.kind == "PersistentVolumeClaim") {
    check_volume_deletion(found->second);
    found->second["metadata"]["deletionTimestamp"] = rfc3339(now_);
    stamp(found->second);
    end_claims();
    return true;
  }
  ++writes;
  applied_.erase(gone.target.kind + "/" + gone.target.name);
  objects.erase(found);
  return true;
}

// ---- what people do

void World::edit(const Json& patch) {
  cluster()["spec"].merge_patch(patch);
  cluster()["metadata"]["generation"] = cluster()["metadata"]["generation"].get<int>() + 1;
  stamp(cluster());
}

void World::annotate(const std::string& kind, const std::string& name, const std::string& key,
                     const std::optional<std::string>& value) {
  const Json change = value ? Json(*value) : Json();
  objects_[kind][name].merge_patch({{"metadata", {{"annotations", {{key, change}}}}}});
  stamp(objects_[kind][name]);
}

void World::remove(const std::string& kind, const std::string& name) {
  if (kind == "Pod") {
    objects_[kind][name]["metadata"]["deletionTimestamp"] = rfc3339(now_);
  } else {
    objects_[kind].erase(name);
  }
}

void World::set_rack(const std::string& node, const std::string& rack) {
  Json& labels = objects_["Node"][node]["metadata"]["labels"];
  if (rack.empty()) {
    labels.erase("topology.kubernetes.io/zone");
  } else {
    labels["topology.kubernetes.io/zone"] = rack;
  }
}

std::int32_t World::replicas() const {
  const auto sets = objects_.find("StatefulSet");
  if (sets == objects_.end() || sets->second.count("events") == 0) return 0;
  return static_cast<std::int32_t>(
      integer_of(at(sets->second.at("events"), "spec", "replicas")).value_or(0));
}

std::string World::condition(const std::string& type, const std::string& field) const {
  const Json& conditions = at(objects_.at("MillraceCluster").at("events"), "status", "conditions");
  if (!conditions.is_array()) return {};
  for (const Json& condition : conditions) {
    if (text_of(at(condition, "type")) == type) return text_of(at(condition, field));
  }
  return {};
}

}  // namespace millrace::plan::testing
