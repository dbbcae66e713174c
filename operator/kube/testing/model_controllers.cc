#include "operator/kube/testing/model_controllers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/timestamp.h"

namespace millrace::kube::testing {
namespace {

bool is_going(const Json& object) {
  return find(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

std::vector<ObjectKey> keys_of(const ModelStore& store, const Resource& resource) {
  std::vector<ObjectKey> keys;
  for (const auto& [key, object] : store.all(resource)) keys.push_back(key);
  return keys;
}

/// Writes as a controller does, which never sends what the rules refuse.
bool put(ModelStore& store, const Resource& resource, const ObjectKey& key, Json next, Part part) {
  const std::uint64_t before = store.version();
  const auto* stored = store.find(resource, key);
  Owners owners = stored != nullptr ? stored->owners : Owners{};
  const auto done = store.write(resource, key, std::move(next), std::move(owners), part);
  CHECK(done.ok(), "{}", done.error().detail);
  return store.version() != before;
}

Json owner_reference(const Resource& resource, const Json& owner) {
  return {{"apiVersion", resource.api_version()},
          {"kind", resource.kind},
          {"name", text_at(owner, {"metadata", "name"})},
          {"uid", text_at(owner, {"metadata", "uid"})},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

std::string controller_uid(const Json& object) {
  const Json* owners = find(object, {"metadata", "ownerReferences"});
  if (owners == nullptr || !owners->is_array()) return {};
  for (const Json& owner : *owners) {
    if (owner.value("controller", false)) return text_at(owner, {"uid"});
  }
  return {};
}

/// The number behind the set's name; nullopt: no pod of a set of that name.
std::optional<int> ordinal_of(const std::string& pod, const std::string& set) {
  if (!pod.starts_with(set + "-")) return std::nullopt;
  const char* begin = pod.data() + set.size() + 1;
  int number = 0;
  const auto [end, error] = std::from_chars(begin, pod.data() + pod.size(), number);
  if (error != std::errc() || end != pod.data() + pod.size() || number < 0) return std::nullopt;
  return number;
}

bool is_ready(const Json& pod) {
  const Json* conditions = find(pod, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return false;
  return std::any_of(conditions->begin(), conditions->end(), [](const Json& condition) {
    return text_at(condition, {"type"}) == "Ready" && text_at(condition, {"status"}) == "True";
  });
}

std::string revision_of(const Json& set) {
  const Json* pod_template = find(set, {"spec", "template"});
  const std::string text = pod_template != nullptr ? compact(*pod_template) : std::string();
  return fmt::format("{}-{:x}", text_at(set, {"metadata", "name"}),
                     std::hash<std::string>{}(text)&0xffffffff);
}

/// One StatefulSet and its pods.
class StatefulSet {
 public:
  StatefulSet(ModelStore& store, const ObjectKey& key)
      : store_(store), key_(key), set_(store.find(kStatefulSets, key)->json) {
    uid_ = text_at(set_, {"metadata", "uid"});
    replicas_ = static_cast<int>(number_at(set_, {"spec", "replicas"}).value_or(1));
    parallel_ = text_at(set_, {"spec", "podManagementPolicy"}) == "Parallel";
    revision_ = revision_of(set_);
  }

  bool step() {
    bool changed = false;
    if (!is_going(set_)) {
      changed = adopt();
      changed = scale_up() || changed;
      changed = scale_down() || changed;
    }
    return write_status() || changed;
  }

 private:
  std::map<int, Json> pods() const {
    std::map<int, Json> pods;
    for (const auto& [key, pod] : store_.all(kPods)) {
      const auto number = ordinal_of(key.name, key_.name);
      if (key.space == key_.space && number && controller_uid(pod.json) == uid_) {
        pods.emplace(*number, pod.json);
      }
    }
    return pods;
  }

  bool adopt() {
    bool changed = false;
    for (const ObjectKey& key : keys_of(store_, kPods)) {
      Json pod = store_.find(kPods, key)->json;
      if (key.space != key_.space || !ordinal_of(key.name, key_.name)) continue;
      if (!controller_uid(pod).empty() || is_going(pod) || !selects(pod)) continue;
      pod["metadata"]["ownerReferences"].push_back(owner_reference(kStatefulSets, set_));
      changed = put(store_, kPods, key, std::move(pod), Part::kObject) || changed;
    }
    return changed;
  }

  bool selects(const Json& pod) const {
    const Json* labels = find(set_, {"spec", "selector", "matchLabels"});
    if (labels == nullptr || !labels->is_object()) return false;
    for (const auto& [name, value] : labels->items()) {
      const auto has = label_of(pod, name);
      if (!has || value != *has) return false;
    }
    return true;
  }

  bool scale_up() {
    bool changed = false;
    const auto there = pods();
    for (int number = 0; number < replicas_; ++number) {
      const auto pod = there.find(number);
      if (pod == there.end()) {
        changed = create(number) || changed;
      } else if (text_at(pod->second, {"status", "phase"}) == "Failed" && !is_going(pod->second)) {
        store_.remove(kPods, key_of(pod->second), /*grace_over=*/true, /*foreground=*/false);
        changed = true;
      }
      if (!parallel_ && (pod == there.end() || !is_ready(pod->second))) break;
    }
    return changed;
  }

  bool scale_down() {
    const auto there = pods();
    for (auto at = there.rbegin(); at != there.rend() && at->first >= replicas_; ++at) {
      const bool was_going = is_going(at->second);
      if (!was_going) {
        store_.remove(kPods, key_of(at->second), /*grace_over=*/false, /*foreground=*/false);
      }
      if (!parallel_) return !was_going;
      if (!was_going) return true;
    }
    return false;
  }

  /// False while the claim of an earlier pod is still being deleted.
  bool claims_ready(int number) {
    const Json* templates = find(set_, {"spec", "volumeClaimTemplates"});
    if (templates == nullptr || !templates->is_array()) return true;
    bool ready = true;
    for (const Json& one : *templates) {
      const std::string name =
          fmt::format("{}-{}-{}", text_at(one, {"metadata", "name"}), key_.name, number);
      const ObjectKey key{key_.space, name};
      if (const auto* there = store_.find(kVolumeClaims, key)) {
        ready = ready && !is_going(there->json);
        continue;
      }
      Json claim = one;
      claim["apiVersion"] = kVolumeClaims.api_version();
      claim["kind"] = kVolumeClaims.kind;
      claim.erase("status");
      claim["metadata"]["name"] = name;
      claim["metadata"]["namespace"] = key_.space;
      if (const Json* labels = find(set_, {"spec", "selector", "matchLabels"})) {
        claim["metadata"]["labels"].update(*labels);
      }
      put(store_, kVolumeClaims, key, std::move(claim), Part::kObject);
    }
    return ready;
  }

  bool create(int number) {
    const std::uint64_t before = store_.version();
    if (!claims_ready(number)) return store_.version() != before;
    const ObjectKey key{key_.space, fmt::format("{}-{}", key_.name, number)};
    // A pod of that name that is none of this set's is in the way until it is gone.
    if (store_.find(kPods, key) != nullptr) return store_.version() != before;
    const Json* from = find(set_, {"spec", "template"});
    Json pod = from != nullptr && from->is_object() ? *from : Json::object();
    pod["apiVersion"] = kPods.api_version();
    pod["kind"] = kPods.kind;
    pod["metadata"]["name"] = key.name;
    pod["metadata"]["namespace"] = key.space;
    pod["metadata"]["ownerReferences"] = Json::array({owner_reference(kStatefulSets, set_)});
    Json& labels = pod["metadata"]["labels"];
    labels["statefulset.kubernetes.io/pod-name"] = key.name;
    labels["apps.kubernetes.io/pod-index"] = std::to_string(number);
    labels["controller-revision-hash"] = revision_;
    pod["spec"]["hostname"] = key.name;
    pod["spec"]["subdomain"] = text_at(set_, {"spec", "serviceName"});
    if (const Json* templates = find(set_, {"spec", "volumeClaimTemplates"})) {
      for (const Json& one : *templates) {
        const std::string volume = text_at(one, {"metadata", "name"});
        pod["spec"]["volumes"].push_back(
            {{"name", volume},
             {"persistentVolumeClaim",
              {{"claimName", fmt::format("{}-{}-{}", volume, key_.name, number)}}}});
      }
    }
    return put(store_, kPods, key, std::move(pod), Part::kObject);
  }

  bool write_status() {
    // A step before may have been the set's own.
    const auto* now = store_.find(kStatefulSets, key_);
    if (now == nullptr) return false;
    int ready = 0;
    int updated = 0;
    const auto there = pods();
    for (const auto& [number, pod] : there) {
      ready += is_ready(pod) ? 1 : 0;
      updated += label_of(pod, "controller-revision-hash") == revision_ ? 1 : 0;
    }
    Json next = now->json;
    const std::string current = text_at(next, {"status", "currentRevision"});
    const auto count = static_cast<int>(there.size());
    next["status"] = {
        {"replicas", count},
        {"readyReplicas", ready},
        {"availableReplicas", ready},
        {"updatedReplicas", updated},
        {"currentReplicas", count - updated},
        {"updateRevision", revision_},
        {"currentRevision", current.empty() || updated == count ? revision_ : current},
        {"observedGeneration", number_at(next, {"metadata", "generation"}).value_or(1)}};
    return put(store_, kStatefulSets, key_, std::move(next), Part::kStatus);
  }

  ModelStore& store_;
  const ObjectKey key_;
  const Json set_;
  std::string uid_;
  int replicas_ = 0;
  bool parallel_ = false;
  std::string revision_;
};

std::string node_for(const ModelStore& store, const Json& pod) {
  const auto& nodes = store.all(kNodes);
  if (nodes.empty()) return "node-0";
  const std::string name = text_at(pod, {"metadata", "name"});
  const auto dash = name.rfind('-');
  const auto number =
      dash == std::string::npos ? std::nullopt : ordinal_of(name, name.substr(0, dash));
  auto at = nodes.begin();
  std::advance(at, number.value_or(0) % static_cast<int>(nodes.size()));
  return at->first.name;
}

std::vector<std::string> claims_of(const Json& pod) {
  std::vector<std::string> names;
  const Json* volumes = find(pod, {"spec", "volumes"});
  if (volumes == nullptr || !volumes->is_array()) return names;
  for (const Json& volume : *volumes) {
    std::string name = text_at(volume, {"persistentVolumeClaim", "claimName"});
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

Json condition(const ModelStore& store, std::string_view type, bool is_true) {
  return {{"type", type},
          {"status", is_true ? "True" : "False"},
          {"lastTransitionTime", time_text(store.now())}};
}

Json container_statuses(const Json& pod, const std::optional<std::string>& reason) {
  Json statuses = Json::array();
  const Json* containers = find(pod, {"spec", "containers"});
  if (containers == nullptr || !containers->is_array()) return statuses;
  for (const Json& container : *containers) {
    Json state{{"running", Json::object()}};
    if (reason) state = {{"waiting", {{"reason", *reason}}}};
    statuses.push_back({{"name", text_at(container, {"name"})},
                        {"image", text_at(container, {"image"})},
                        {"ready", !reason.has_value()},
                        {"started", !reason.has_value()},
                        {"restartCount", reason ? 5 : 0},
                        {"state", std::move(state)}});
  }
  return statuses;
}

/// The pod's status once its containers run, or fail to.
Json running_status(const ModelStore& store, const Json& pod,
                    const std::optional<std::string>& reason) {
  // Distinct for distinct pods, and the same for one pod in every run.
  const std::string uid = text_at(pod, {"metadata", "uid"});
  const auto number = std::stoul(uid.substr(uid.size() - 6), nullptr, 16);
  const std::string address =
      fmt::format("10.{}.{}.{}", 1 + number / 62500 % 250, number / 250 % 250, number % 250 + 1);
  return {{"phase", "Running"},
          {"podIP", address},
          {"podIPs", Json::array({{{"ip", address}}})},
          {"startTime", text_at(pod, {"metadata", "creationTimestamp"})},
          {"containerStatuses", container_statuses(pod, reason)},
          {"conditions", Json::array({condition(store, "PodScheduled", true),
                                      condition(store, "Initialized", true),
                                      condition(store, "ContainersReady", !reason),
                                      condition(store, "Ready", !reason)})}};
}

bool step_pod(ModelStore& store, const ObjectKey& key, const Broken& broken) {
  Json pod = store.find(kPods, key)->json;
  if (is_going(pod)) {
    const Json* finalizers = find(pod, {"metadata", "finalizers"});
    if (finalizers != nullptr && !finalizers->empty()) return false;
    store.remove(kPods, key, /*grace_over=*/true, /*foreground=*/false);
    return true;
  }
  if (text_at(pod, {"spec", "nodeName"}).empty()) {
    for (const std::string& claim : claims_of(pod)) {
      const auto* there = store.find(kVolumeClaims, {key.space, claim});
      if (there == nullptr || is_going(there->json)) return false;
    }
    pod["spec"]["nodeName"] = node_for(store, pod);
    return put(store, kPods, key, std::move(pod), Part::kObject);
  }
  const std::string phase = text_at(pod, {"status", "phase"});
  if (phase == "Failed" || phase == "Succeeded") return false;
  const auto reason = broken(key, pod);
  const Json* statuses = find(pod, {"status", "containerStatuses"});
  const bool as_it_should = phase == "Running" && is_ready(pod) == !reason && statuses != nullptr &&
                            *statuses == container_statuses(pod, reason);
  if (as_it_should) return false;
  pod["status"] = running_status(store, pod, reason);
  return put(store, kPods, key, std::move(pod), Part::kStatus);
}

/// Is an object with this uid left?
std::set<std::string> all_uids(const ModelStore& store) {
  std::set<std::string> uids;
  for (const auto& [name, resource] : store.kinds()) {
    for (const auto& [key, object] : store.all(resource)) {
      uids.insert(text_at(object.json, {"metadata", "uid"}));
    }
  }
  return uids;
}

struct Owned {
  bool has_owner = false;
  bool owner_left = false;
  bool owner_waits = false;  // one that deletes in the foreground
};

Owned owned_by(const Json& object, const std::set<std::string>& left,
               const std::set<std::string>& waiting) {
  Owned owned;
  const Json* owners = find(object, {"metadata", "ownerReferences"});
  if (owners == nullptr || !owners->is_array()) return owned;
  for (const Json& owner : *owners) {
    const std::string uid = text_at(owner, {"uid"});
    owned.has_owner = true;
    owned.owner_left = owned.owner_left || (left.contains(uid) && !waiting.contains(uid));
    owned.owner_waits = owned.owner_waits || waiting.contains(uid);
  }
  return owned;
}

bool has_finalizer(const Json& object, std::string_view name) {
  const Json* list = find(object, {"metadata", "finalizers"});
  return list != nullptr && std::find(list->begin(), list->end(), name) != list->end();
}

bool drop_finalizer(ModelStore& store, const Resource& resource, const ObjectKey& key,
                    std::string_view name) {
  Json next = store.find(resource, key)->json;
  Json& list = next["metadata"]["finalizers"];
  list.erase(std::remove(list.begin(), list.end(), name), list.end());
  if (list.empty()) next["metadata"].erase("finalizers");
  return put(store, resource, key, std::move(next), Part::kObject);
}

bool empty_namespaces(ModelStore& store) {
  for (const ObjectKey& space : keys_of(store, kNamespaces)) {
    if (!is_going(store.find(kNamespaces, space)->json)) continue;
    bool left = false;
    bool changed = false;
    for (const auto& [name, resource] : store.kinds()) {
      for (const ObjectKey& key : keys_of(store, resource)) {
        if (key.space != space.name) continue;
        left = true;
        if (is_going(store.find(resource, key)->json)) continue;
        store.remove(resource, key, /*grace_over=*/false, /*foreground=*/false);
        changed = true;
      }
    }
    if (!left) store.erase(kNamespaces, space);
    if (!left || changed) return true;
  }
  return false;
}

}  // namespace

bool step_stateful_sets(ModelStore& store) {
  bool changed = false;
  for (const ObjectKey& key : keys_of(store, kStatefulSets)) {
    changed = StatefulSet(store, key).step() || changed;
  }
  return changed;
}

bool step_pods(ModelStore& store, const Broken& broken) {
  bool changed = false;
  for (const ObjectKey& key : keys_of(store, kPods))
    changed = step_pod(store, key, broken) || changed;
  return changed;
}

bool step_volumes(ModelStore& store) {
  bool changed = false;
  std::set<ObjectKey> used;
  for (const auto& [key, pod] : store.all(kPods)) {
    for (std::string& claim : claims_of(pod.json)) used.insert({key.space, std::move(claim)});
  }
  for (const ObjectKey& key : keys_of(store, kVolumeClaims)) {
    Json claim = store.find(kVolumeClaims, key)->json;
    if (is_going(claim)) {
      if (used.contains(key) || !has_finalizer(claim, "kubernetes.io/pvc-protection")) continue;
      changed =
          drop_finalizer(store, kVolumeClaims, key, "kubernetes.io/pvc-protection") || changed;
      continue;
    }
    if (text_at(claim, {"spec", "volumeName"}).empty()) {
      claim["spec"]["volumeName"] = "pv-" + text_at(claim, {"metadata", "uid"});
      changed = put(store, kVolumeClaims, key, claim, Part::kObject) || changed;
    }
    claim = store.find(kVolumeClaims, key)->json;
    claim["status"]["phase"] = "Bound";
    if (const Json* wanted = find(claim, {"spec", "resources", "requests", "storage"})) {
      claim["status"]["capacity"]["storage"] = *wanted;
    }
    changed = put(store, kVolumeClaims, key, std::move(claim), Part::kStatus) || changed;
  }
  for (const ObjectKey& key : keys_of(store, kServices)) {
    Json service = store.find(kServices, key)->json;
    if (text_at(service, {"spec", "type"}) != "LoadBalancer" || service.contains("status"))
      continue;
    const std::string address = fmt::format("203.0.113.{}", store.version() % 250 + 1);
    service["status"]["loadBalancer"]["ingress"] = Json::array({{{"ip", address}}});
    changed = put(store, kServices, key, std::move(service), Part::kStatus) || changed;
  }
  return changed;
}

bool step_garbage(ModelStore& store) {
  bool changed = false;
  const auto left = all_uids(store);
  std::set<std::string> waiting;
  for (const auto& [name, resource] : store.kinds()) {
    for (const auto& [key, object] : store.all(resource)) {
      if (is_going(object.json) && has_finalizer(object.json, "foregroundDeletion")) {
        waiting.insert(text_at(object.json, {"metadata", "uid"}));
      }
    }
  }
  std::set<std::string> still_owning;
  const auto kinds = store.kinds();
  for (const auto& [name, resource] : kinds) {
    for (const ObjectKey& key : keys_of(store, resource)) {
      const Json& object = store.find(resource, key)->json;
      const Owned owned = owned_by(object, left, waiting);
      if (!owned.has_owner) continue;
      for (const Json& owner : object.at("metadata").at("ownerReferences")) {
        still_owning.insert(text_at(owner, {"uid"}));
      }
      if (owned.owner_left || is_going(object)) continue;
      store.remove(resource, key, /*grace_over=*/false, owned.owner_waits);
      changed = true;
    }
  }
  for (const auto& [name, resource] : kinds) {
    for (const ObjectKey& key : keys_of(store, resource)) {
      const Json& object = store.find(resource, key)->json;
      const std::string uid = text_at(object, {"metadata", "uid"});
      if (waiting.contains(uid) && !still_owning.contains(uid)) {
        changed = drop_finalizer(store, resource, key, "foregroundDeletion") || changed;
      }
    }
  }
  return empty_namespaces(store) || changed;
}

}  // namespace millrace::kube::testing
