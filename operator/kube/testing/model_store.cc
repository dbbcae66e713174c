#include "operator/kube/testing/model_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/timestamp.h"

namespace millrace::kube::testing {
namespace {

constexpr std::size_t kHistoryMax = 5000;

int status_of(Cause cause) {
  switch (cause) {
    case Cause::kNotFound:
      return 404;
    case Cause::kAlreadyExists:
    case Cause::kConflict:
      return 409;
    case Cause::kGone:
      return 410;
    case Cause::kInvalid:
      return 422;
    case Cause::kForbidden:
      return 403;
    case Cause::kUnauthorized:
      return 401;
    case Cause::kTooManyRequests:
      return 429;
    case Cause::kUnavailable:
      return 503;
    case Cause::kTimeout:
    case Cause::kCancelled:
    case Cause::kBadAnswer:
      return 0;
  }
  return 0;
}

/// Bytes of "10Gi", "500M", "1e3"; nullopt: no quantity that we use.
std::optional<double> quantity(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  static const std::map<std::string, double, std::less<>> units{
      {"", 1},           {"k", 1e3},           {"M", 1e6},
      {"G", 1e9},        {"T", 1e12},          {"Ki", 1024.0},
      {"Mi", 1048576.0}, {"Gi", 1073741824.0}, {"Ti", 1099511627776.0}};
  const auto unit = units.find(std::string_view(end, text.data() + text.size()));
  if (unit == units.end()) return std::nullopt;
  return number * unit->second;
}

std::set<std::string> finalizers_of(const Json& object) {
  std::set<std::string> names;
  const Json* list = find(object, {"metadata", "finalizers"});
  if (list == nullptr || !list->is_array()) return names;
  for (const Json& name : *list) {
    if (name.is_string()) names.insert(name.get<std::string>());
  }
  return names;
}

bool is_going(const Json& object) {
  return find(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

/// What a StatefulSet may not change after its creation.
bool same_stateful_set(const Json& before, const Json& next) {
  Json left = before.value("spec", Json::object());
  Json right = next.value("spec", Json::object());
  for (const char* name : {"replicas", "ordinals", "template", "updateStrategy", "minReadySeconds",
                           "persistentVolumeClaimRetentionPolicy", "revisionHistoryLimit"}) {
    left.erase(name);
    right.erase(name);
  }
  return left == right;
}

bool spec_changed(const Json& before, const Json& next) {
  Json left = before;
  Json right = next;
  for (Json* object : {&left, &right}) {
    object->erase("metadata");
    object->erase("status");
  }
  return left != right;
}

void drop_nulls(Json& value) {
  if (!value.is_structured()) return;
  for (auto at = value.begin(); at != value.end();) {
    if (value.is_object() && at->is_null()) {
      at = value.erase(at);
    } else {
      drop_nulls(*at);
      ++at;
    }
  }
}

}  // namespace

ApiError refusal(Cause cause, std::string detail) {
  return {.cause = cause, .detail = std::move(detail), .http_status = status_of(cause)};
}

std::string ModelStore::kind_of(const Resource& resource) {
  return fmt::format("{}.{}", resource.plural, resource.group);
}

bool ModelStore::has_status(const Resource& resource) {
  for (const Resource& without : {kConfigMaps, kSecrets, kServiceAccounts, kEvents, kLeases,
                                  kPodMonitors, kNetworkPolicies, kStorageClasses}) {
    if (resource == without) return false;
  }
  return true;
}

const ModelStore::Object* ModelStore::find(const Resource& resource, const ObjectKey& key) const {
  const Objects& objects = all(resource);
  const auto found = objects.find(key);
  return found == objects.end() ? nullptr : &found->second;
}

const ModelStore::Objects& ModelStore::all(const Resource& resource) const {
  static const Objects none;
  const auto found = objects_.find(kind_of(resource));
  return found == objects_.end() ? none : found->second;
}

std::uint64_t ModelStore::version_of(const Resource& resource) const {
  const auto found = versions_.find(kind_of(resource));
  return found == versions_.end() ? 0 : found->second;
}

void ModelStore::advance(common::Duration step) {
  now_ = now_ + std::chrono::duration_cast<std::chrono::milliseconds>(step).count();
}

ApiResult<void> ModelStore::check(const Resource& resource, const Json* before,
                                  const Json& next) const {
  const std::string name = text_at(next, {"metadata", "name"});
  if (text_at(next, {"kind"}) != resource.kind ||
      text_at(next, {"apiVersion"}) != resource.api_version()) {
    return refusal(Cause::kInvalid,
                   fmt::format("{} \"{}\" has another kind or apiVersion", resource.kind, name));
  }
  if (before == nullptr) return {};
  if (is_going(*before)) {
    const auto had = finalizers_of(*before);
    for (const std::string& finalizer : finalizers_of(next)) {
      if (!had.contains(finalizer)) {
        return refusal(Cause::kInvalid,
                       fmt::format("{} \"{}\" is invalid: metadata.finalizers: Forbidden: no new "
                                   "finalizers can be added if the object is being deleted",
                                   resource.kind, name));
      }
    }
  }
  if (resource == kStatefulSets && !same_stateful_set(*before, next)) {
    return refusal(Cause::kInvalid,
                   fmt::format("StatefulSet.apps \"{}\" is invalid: spec: Forbidden: updates to "
                               "statefulset spec for fields other than 'replicas', 'ordinals', "
                               "'template', 'updateStrategy', 'revisionHistoryLimit', "
                               "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
                               "forbidden",
                               name));
  }
  if (!(resource == kVolumeClaims)) return {};
  const auto had = quantity(text_at(*before, {"spec", "resources", "requests", "storage"}));
  const auto wanted = quantity(text_at(next, {"spec", "resources", "requests", "storage"}));
  if (had && wanted && *wanted < *had) {
    return refusal(Cause::kInvalid,
                   fmt::format("PersistentVolumeClaim \"{}\" is invalid: "
                               "spec.resources.requests.storage: Forbidden: field can not be less "
                               "than previous value",
                               name));
  }
  const Object* storage_class =
      find(kStorageClasses, {{}, text_at(next, {"spec", "storageClassName"})});
  if (had && wanted && *wanted > *had && storage_class != nullptr &&
      !storage_class->json.value("allowVolumeExpansion", false)) {
    return refusal(
        Cause::kForbidden,
        fmt::format("persistentvolumeclaims \"{}\" is forbidden: only dynamically "
                    "provisioned pvc can be resized and the storageclass that provisions "
                    "the pvc must support resize",
                    name));
  }
  return {};
}

void ModelStore::set_metadata(const Resource& resource, const Json* before, Json& next) {
  Json& metadata = next["metadata"];
  for (const char* servers : {"uid", "creationTimestamp", "deletionTimestamp",
                              "deletionGracePeriodSeconds", "generation", "resourceVersion"}) {
    metadata.erase(servers);
    if (before != nullptr && before->at("metadata").contains(servers)) {
      metadata[servers] = before->at("metadata").at(servers);
    }
  }
  if (before == nullptr) {
    metadata["uid"] = fmt::format("00000000-0000-4000-8000-{:012x}", ++uids_);
    metadata["creationTimestamp"] = time_text(now_);
    metadata["generation"] = 1;
    if (resource == kVolumeClaims) metadata["finalizers"].push_back("kubernetes.io/pvc-protection");
  } else if (spec_changed(*before, next)) {
    metadata["generation"] = number_at(*before, {"metadata", "generation"}).value_or(0) + 1;
  }
}

void ModelStore::allocate(const Resource& resource, Json& next) {
  if (resource == kStatefulSets && kube::find(next, {"spec", "replicas"}) == nullptr) {
    next["spec"]["replicas"] = 1;
  }
  if (!(resource == kServices)) return;
  Json& spec = next["spec"];
  if (!spec.is_object()) return;
  const std::string type = spec.value("type", "ClusterIP");
  if (!spec.contains("clusterIP") && type != "ExternalName") {
    spec["clusterIP"] = fmt::format("10.96.{}.{}", version_ / 250 % 250, version_ % 250 + 1);
  }
  if ((type != "NodePort" && type != "LoadBalancer") || !spec.contains("ports")) return;
  for (Json& port : spec["ports"]) {
    if (!port.contains("nodePort")) port["nodePort"] = node_ports_++;
  }
}

ApiResult<Json> ModelStore::write(const Resource& resource, const ObjectKey& key, Json next,
                                  Owners owners, Part part) {
  const Object* stored = find(resource, key);
  const Json* before = stored != nullptr ? &stored->json : nullptr;
  drop_nulls(next);
  if (part == Part::kStatus) {
    CHECK(before != nullptr, "a status is written to what is there");
    Json status = next.contains("status") ? next["status"] : Json();
    next = *before;
    if (status.is_null()) {
      next.erase("status");
    } else {
      next["status"] = std::move(status);
    }
  } else if (has_status(resource)) {
    next.erase("status");
    if (before != nullptr && before->contains("status")) next["status"] = before->at("status");
  }
  set_metadata(resource, before, next);
  allocate(resource, next);
  TRY(check(resource, before, next));
  next["metadata"].erase("managedFields");
  if (before != nullptr && *before == next) {
    objects_[kind_of(resource)][key].owners = std::move(owners);
    return next;
  }
  return commit(resource, key, std::move(next), std::move(owners));
}

Json ModelStore::commit(const Resource& resource, const ObjectKey& key, Json next, Owners owners) {
  const std::string kind = kind_of(resource);
  kinds_.insert_or_assign(kind, resource);
  Objects& objects = objects_[kind];
  std::optional<Json> before;
  if (const auto found = objects.find(key); found != objects.end()) before = found->second.json;
  next["metadata"]["resourceVersion"] = std::to_string(++version_);
  objects[key] = {next, std::move(owners)};
  record({version_, kind, key, std::move(before), next});
  // A pod's process ends on its own time; everything else goes with its last finalizer.
  if (is_going(next) && finalizers_of(next).empty() && !(resource == kPods)) erase(resource, key);
  return next;
}

void ModelStore::remove(const Resource& resource, const ObjectKey& key, bool grace_over,
                        bool foreground) {
  const Object* stored = find(resource, key);
  CHECK(stored != nullptr, "{} is there", key.text());
  Json next = stored->json;
  Owners owners = stored->owners;
  if (foreground && !is_going(next)) next["metadata"]["finalizers"].push_back("foregroundDeletion");
  const bool waits =
      resource == kPods && !grace_over && !text_at(next, {"spec", "nodeName"}).empty();
  if (finalizers_of(next).empty() && !waits) return erase(resource, key);
  if (is_going(next)) return;
  const std::int64_t grace =
      resource == kPods ? number_at(next, {"spec", "terminationGracePeriodSeconds"}).value_or(30)
                        : 0;
  next["metadata"]["deletionTimestamp"] = time_text(now_ + grace * 1000);
  next["metadata"]["deletionGracePeriodSeconds"] = grace;
  next["metadata"]["generation"] = number_at(next, {"metadata", "generation"}).value_or(0) + 1;
  commit(resource, key, std::move(next), std::move(owners));
}

void ModelStore::erase(const Resource& resource, const ObjectKey& key) {
  Objects& objects = objects_[kind_of(resource)];
  const auto found = objects.find(key);
  if (found == objects.end()) return;
  Json before = std::move(found->second.json);
  objects.erase(found);
  record({++version_, kind_of(resource), key, std::move(before), std::nullopt});
}

void ModelStore::record(Revision revision) {
  versions_[revision.kind] = revision.version;
  history_.push_back(std::move(revision));
  if (history_.size() <= kHistoryMax) return;
  floor_ = history_.front().version;
  history_.pop_front();
}

void ModelStore::forget_history() {
  history_.clear();
  floor_ = version_;
}

std::map<ObjectKey, Json> ModelStore::as_of(const Resource& resource, std::uint64_t version) const {
  CHECK(version >= floor_, "revision {} is forgotten", version);
  std::map<ObjectKey, Json> objects;
  for (const auto& [key, object] : all(resource)) objects.emplace(key, object.json);
  const std::string kind = kind_of(resource);
  for (auto at = history_.rbegin(); at != history_.rend() && at->version > version; ++at) {
    if (at->kind != kind) continue;
    if (at->before) {
      objects.insert_or_assign(at->key, *at->before);
    } else {
      objects.erase(at->key);
    }
  }
  return objects;
}

}  // namespace millrace::kube::testing
