#include "operator/kube/testing/model_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <utility>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/testing/model_controllers.h"
#include "operator/kube/testing/model_store.h"
#include "operator/kube/testing/selector.h"

namespace millrace::kube::testing {
namespace {

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool matches(const Json& object, const std::string& space, const std::string& labels,
             const std::string& fields) {
  return (space.empty() || text_at(object, {"metadata", "namespace"}) == space) &&
         matches_labels(object, labels) && matches_fields(object, fields);
}

/// Where a kind keeps what its scale subresource shows; nullptr: it has none.
const char* replicas_member(const Resource& resource) {
  if (resource == kStatefulSets) return "replicas";
  if (resource == kClusters) return "brokers";
  return nullptr;
}

Json scale_of(const Resource& resource, const Json& object) {
  const char* member = replicas_member(resource);
  Json scale{{"apiVersion", "autoscaling/v1"},
             {"kind", "Scale"},
             {"metadata", object.at("metadata")},
             {"spec", {{"replicas", number_at(object, {"spec", member}).value_or(1)}}},
             {"status", {{"replicas", number_at(object, {"status", member}).value_or(0)}}}};
  return scale;
}

ApiError not_found(const Resource& resource, const ObjectKey& key) {
  return refusal(Cause::kNotFound, fmt::format("{} \"{}\" not found", resource.plural, key.name));
}

ApiError stale(const Resource& resource, const ObjectKey& key) {
  return refusal(Cause::kConflict,
                 fmt::format("Operation cannot be fulfilled on {} \"{}\": the object has been "
                             "modified; please apply your changes to the latest version and try "
                             "again",
                             resource.plural, key.name));
}

/// A patch or an apply that names another uid; an update or a delete that does is a conflict.
ApiError another(const Resource& resource, const ObjectKey& key) {
  return refusal(
      Cause::kInvalid,
      fmt::format("{} \"{}\" is invalid: metadata.uid: Invalid value: field is immutable",
                  resource.kind, key.name));
}

/// The change as somebody sees who looks through selectors; nullopt: not at all.
std::optional<WatchEvent> seen_by(const Revision& revision, const std::string& space,
                                  const std::string& labels, const std::string& fields) {
  const bool was = revision.before && matches(*revision.before, space, labels, fields);
  const bool is = revision.after && matches(*revision.after, space, labels, fields);
  if (is) return WatchEvent{was ? ChangeKind::kModified : ChangeKind::kAdded, *revision.after};
  if (!was) return std::nullopt;
  Json gone = *revision.before;
  gone["metadata"]["resourceVersion"] = std::to_string(revision.version);
  return WatchEvent{ChangeKind::kDeleted, std::move(gone)};
}

Json bookmark(const Resource& resource, std::uint64_t version) {
  return {{"apiVersion", resource.api_version()},
          {"kind", resource.kind},
          {"metadata", {{"resourceVersion", std::to_string(version)}}}};
}

}  // namespace

struct ModelApi::State {
  explicit State(std::uint64_t seed) : random(seed) {}

  /// What goes wrong before anything happens. Requires the lock.
  std::optional<ApiError> trouble(const std::string& verb, const Resource& resource,
                                  const ObjectKey& key) {
    ++calls[verb];
    if (gate) {
      if (auto error = gate(verb, resource, key)) return error;
    }
    if (failing > 0) {
      --failing;
      return refusal(failing_with, "the server is made to fail");
    }
    const auto per_mille = [&](int rate) { return rate > 0 && random.chance(rate, 1000); };
    if (per_mille(faults.refuse)) return refusal(Cause::kUnavailable, "connection refused");
    if (per_mille(faults.throttle)) return refusal(Cause::kTooManyRequests, "too many requests");
    return std::nullopt;
  }

  /// Somebody else writes the object first.
  void interfere(const Resource& resource, const ObjectKey& key) {
    if (faults.conflict == 0 || !random.chance(faults.conflict, 1000)) return;
    const auto* stored = store.find(resource, key);
    if (stored == nullptr) return;
    Json next = stored->json;
    Owners owners = stored->owners;
    next["metadata"]["annotations"]["example.org/touched"] = std::to_string(store.version());
    (void)store.write(resource, key, std::move(next), std::move(owners), Part::kObject);
  }

  /// Notes what a write changed, and loses its answer where that is due. Requires the lock.
  template <typename T>
  ApiResult<T> answer(const std::string& verb, const Resource& resource, const ObjectKey& key,
                      Part part, std::uint64_t before, ApiResult<T> result) {
    if (store.version() != before) {
      written.push_back(
          {verb, std::string(resource.plural), key, part, std::to_string(store.version())});
      changed.notify_all();
    }
    const bool lost =
        losing > 0 || (faults.lose_answer > 0 && random.chance(faults.lose_answer, 1000));
    if (losing > 0) --losing;
    if (!lost) return result;
    ApiError error = refusal(Cause::kTimeout, "no answer in time");
    error.maybe_done = true;
    return error;
  }

  /// Requires that the history goes back so far.
  std::vector<WatchEvent> events_after(std::uint64_t version, const Resource& resource,
                                       const WatchOptions& options) const {
    const std::string kind = ModelStore::kind_of(resource);
    std::vector<WatchEvent> events;
    const auto& history = store.history();
    auto revision = std::upper_bound(
        history.begin(), history.end(), version,
        [](std::uint64_t since, const Revision& one) { return since < one.version; });
    for (; revision != history.end(); ++revision) {
      if (revision->kind != kind) continue;
      auto event =
          seen_by(*revision, options.space, options.label_selector, options.field_selector);
      if (event) events.push_back(std::move(*event));
    }
    return events;
  }

  ApiResult<void> may_create(const Resource& resource, const ObjectKey& key) const {
    const auto* space = store.find(kNamespaces, {{}, key.space});
    if (key.name.empty()) {
      return refusal(
          Cause::kInvalid,
          fmt::format("{} \"\" is invalid: metadata.name: Required value", resource.kind));
    }
    if (space != nullptr && space->json.at("metadata").contains("deletionTimestamp")) {
      return refusal(
          Cause::kForbidden,
          fmt::format("{} \"{}\" is forbidden: unable to create new content in namespace "
                      "{} because it is being terminated",
                      resource.plural, key.name, key.space));
    }
    return {};
  }

  /// Writes `next` in the place of what is there, for a writer that does not apply.
  ApiResult<Json> replace(const Resource& resource, const ObjectKey& key, Json next, Part part) {
    const auto* stored = store.find(resource, key);
    if (stored == nullptr) return not_found(resource, key);
    if (part == Part::kStatus && !ModelStore::has_status(resource)) {
      return refusal(Cause::kNotFound, "the server could not find the requested resource");
    }
    const std::string version = text_at(next, {"metadata", "resourceVersion"});
    if (!version.empty() && version != text_at(stored->json, {"metadata", "resourceVersion"})) {
      return stale(resource, key);
    }
    const std::string uid = text_at(next, {"metadata", "uid"});
    if (!uid.empty() && uid != text_at(stored->json, {"metadata", "uid"})) {
      return stale(resource, key);
    }
    Owners owners = owners_after_update(stored->json, next, stored->owners);
    return store.write(resource, key, std::move(next), std::move(owners), part);
  }

  mutable std::mutex mutex;  // guards everything here
  std::condition_variable_any changed;
  ModelStore store;
  common::Random random;
  Faults faults;
  Controllers controllers;
  Gate gate;
  int losing = 0;
  int failing = 0;
  Cause failing_with = Cause::kUnavailable;
  std::uint64_t epoch = 0;  // of restarts
  std::map<std::string, std::uint64_t> calls;
  std::vector<Written> written;
  std::map<ObjectKey, std::string> broken;
  std::function<std::optional<std::string>(const Json&)> broken_pods;
};

ModelApi::ModelApi(std::uint64_t seed) : state_(std::make_unique<State>(seed)) {}
ModelApi::~ModelApi() = default;

ApiResult<Json> ModelApi::get(const Resource& resource, const ObjectKey& key, Part part) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (auto error = state.trouble("get", resource, key)) return std::move(*error);
  const auto* stored = state.store.find(resource, key);
  if (stored == nullptr) return not_found(resource, key);
  if (part != Part::kScale) return stored->json;
  if (replicas_member(resource) == nullptr) return not_found(resource, key);
  return scale_of(resource, stored->json);
}

ApiResult<ListPage> ModelApi::list(const Resource& resource, const ListOptions& options) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (auto error = state.trouble("list", resource, {options.space, {}})) return std::move(*error);
  ModelStore& store = state.store;
  std::uint64_t version = store.version();
  ObjectKey after;
  if (!options.continue_token.empty()) {
    // "version/namespace/name of the last object before"
    const std::string& token = options.continue_token;
    const auto slash = token.find('/');
    const auto second = token.find('/', slash + 1);
    CHECK(slash != std::string::npos && second != std::string::npos, "a token of ours");
    version = number_of(token);
    after = {token.substr(slash + 1, second - slash - 1), token.substr(second + 1)};
    const bool expires = state.faults.expire > 0 && state.random.chance(state.faults.expire, 1000);
    if (version < store.floor() || expires) {
      return refusal(Cause::kGone, "The provided continue parameter is too old");
    }
  } else if (options.resource_version == "0" && state.faults.stale > 0 &&
             state.random.chance(state.faults.stale, 1000)) {
    version = store.floor() + state.random.below(version - store.floor() + 1);
  }
  ListPage page;
  page.resource_version = std::to_string(version);
  for (auto& [key, object] : store.as_of(resource, version)) {
    if (!options.continue_token.empty() && key <= after) continue;
    if (!matches(object, options.space, options.label_selector, options.field_selector)) continue;
    if (options.limit > 0 && page.items.size() == static_cast<std::size_t>(options.limit)) {
      const ObjectKey last = key_of(page.items.back());
      page.continue_token = fmt::format("{}/{}/{}", version, last.space, last.name);
      break;
    }
    page.items.push_back(std::move(object));
  }
  return page;
}

ApiResult<std::vector<WatchEvent>> ModelApi::changes_since(const Resource& resource,
                                                           const std::string& resource_version) {
  WatchOptions all;
  all.resource_version = resource_version;
  return changes_since(resource, all);
}

ApiResult<std::vector<WatchEvent>> ModelApi::changes_since(const Resource& resource,
                                                           const WatchOptions& options) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const std::uint64_t since = number_of(options.resource_version);
  if (since < state.store.floor()) {
    return refusal(Cause::kGone, "too old resource version");
  }
  return state.events_after(since, resource, options);
}

ApiResult<void> ModelApi::watch(const Resource& resource, const WatchOptions& options,
                                const WatchSink& sink, std::stop_token stop) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  if (auto error = state.trouble("watch", resource, {options.space, {}})) return std::move(*error);
  const std::uint64_t epoch = state.epoch;
  const common::Timestamp end =
      state.store.now() +
      std::chrono::duration_cast<std::chrono::milliseconds>(options.duration).count();
  std::uint64_t seen = number_of(options.resource_version);
  const bool expires = state.faults.expire > 0 && state.random.chance(state.faults.expire, 1000);
  if (expires) return refusal(Cause::kGone, "too old resource version");
  for (;;) {
    if (seen < state.store.floor()) return refusal(Cause::kGone, "too old resource version");
    std::vector<WatchEvent> events = state.events_after(seen, resource, options);
    seen = state.store.version();
    const bool over = state.store.now() >= end;
    if (over) events.push_back({ChangeKind::kBookmark, bookmark(resource, seen)});
    lock.unlock();
    for (WatchEvent& event : events) {
      if (!sink(std::move(event))) return {};
    }
    lock.lock();
    if (over) return {};
    state.changed.wait(lock, stop, [&] {
      return state.store.version() != seen || state.epoch != epoch || state.store.now() >= end;
    });
    if (stop.stop_requested()) return refusal(Cause::kCancelled, "the watch was stopped");
    if (state.epoch != epoch) return refusal(Cause::kUnavailable, "the stream was cut");
  }
}

ApiResult<Json> ModelApi::create(const Resource& resource, const Json& object) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const ObjectKey key = key_of(object);
  if (auto error = state.trouble("create", resource, key)) return std::move(*error);
  TRY(state.may_create(resource, key));
  if (state.store.find(resource, key) != nullptr) {
    return refusal(Cause::kAlreadyExists,
                   fmt::format("{} \"{}\" already exists", resource.plural, key.name));
  }
  const std::uint64_t before = state.store.version();
  Owners owners{{kUpdateManager, fields_of(object)}};
  return state.answer("create", resource, key, Part::kObject, before,
                      state.store.write(resource, key, object, std::move(owners), Part::kObject));
}

ApiResult<Json> ModelApi::update(const Resource& resource, const Json& object, Part part) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const ObjectKey key = key_of(object);
  CHECK(!text_at(object, {"metadata", "resourceVersion"}).empty(), "update is conditional");
  if (auto error = state.trouble("update", resource, key)) return std::move(*error);
  state.interfere(resource, key);
  const std::uint64_t before = state.store.version();
  return state.answer("update", resource, key, part, before,
                      state.replace(resource, key, object, part));
}

ApiResult<Json> ModelApi::apply(const Resource& resource, const Json& manifest,
                                const ApplyOptions& options) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const ObjectKey key = key_of(manifest);
  if (auto error = state.trouble("apply", resource, key)) return std::move(*error);
  const auto* stored = state.store.find(resource, key);
  if (stored == nullptr) {
    if (options.part != Part::kObject) return not_found(resource, key);
    TRY(state.may_create(resource, key));
    if (manifest.at("metadata").contains("uid")) return stale(resource, key);
  } else {
    const std::string uid = text_at(manifest, {"metadata", "uid"});
    if (!uid.empty() && uid != text_at(stored->json, {"metadata", "uid"})) {
      return another(resource, key);
    }
    const std::string version = text_at(manifest, {"metadata", "resourceVersion"});
    if (!version.empty() && version != text_at(stored->json, {"metadata", "resourceVersion"})) {
      return stale(resource, key);
    }
  }
  const std::uint64_t before = state.store.version();
  // A manager that applies owns apart from its other writes, and apart for each subresource.
  const std::string manager =
      fmt::format("{}{}", options.field_manager, options.part == Part::kStatus ? "/status" : "");
  Json live{{"apiVersion", resource.api_version()},
            {"kind", resource.kind},
            {"metadata", {{"name", key.name}}}};
  if (!key.space.empty()) live["metadata"]["namespace"] = key.space;
  if (stored != nullptr) live = stored->json;
  ApplyResult applied = apply_fields(live, stored != nullptr ? stored->owners : Owners{}, manifest,
                                     manager, options.ownership == Ownership::kTake);
  if (applied.conflict) return refusal(Cause::kConflict, *applied.conflict);
  return state.answer("apply", resource, key, options.part, before,
                      state.store.write(resource, key, std::move(applied.merged.object),
                                        std::move(applied.merged.owners), options.part));
}

namespace {

/// The object after the patch; kInvalid if it does not fit.
ApiResult<Json> patched(Json object, const Json& patch, PatchKind kind) {
  if (kind == PatchKind::kMerge) {
    object.merge_patch(patch);
    return object;
  }
  try {
    return object.patch(patch);
  } catch (const Json::exception& error) {
    return refusal(Cause::kInvalid, error.what());
  }
}

}  // namespace

ApiResult<Json> ModelApi::patch(const Resource& resource, const ObjectKey& key, const Json& patch,
                                PatchKind kind, Part part) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (auto error = state.trouble("patch", resource, key)) return std::move(*error);
  state.interfere(resource, key);
  const auto* stored = state.store.find(resource, key);
  if (stored == nullptr) return not_found(resource, key);
  const std::uint64_t before = state.store.version();
  if (part == Part::kScale) {
    const char* member = replicas_member(resource);
    if (member == nullptr) return not_found(resource, key);
    TRY_ASSIGN(const Json scale, patched(scale_of(resource, stored->json), patch, kind));
    Json next = stored->json;
    next["spec"][member] = number_at(scale, {"spec", "replicas"}).value_or(0);
    auto done = state.replace(resource, key, std::move(next), Part::kObject);
    if (done.ok()) done = scale_of(resource, *done);
    return state.answer("patch", resource, key, part, before, std::move(done));
  }
  TRY_ASSIGN(Json next, patched(stored->json, patch, kind));
  if (text_at(next, {"metadata", "uid"}) != text_at(stored->json, {"metadata", "uid"})) {
    return another(resource, key);
  }
  return state.answer("patch", resource, key, part, before,
                      state.replace(resource, key, std::move(next), part));
}

ApiResult<void> ModelApi::remove(const Resource& resource, const ObjectKey& key,
                                 const DeleteOptions& options) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (auto error = state.trouble("delete", resource, key)) return std::move(*error);
  if (options.resource_version) state.interfere(resource, key);
  const auto* stored = state.store.find(resource, key);
  if (stored == nullptr) return not_found(resource, key);
  if (options.uid && *options.uid != text_at(stored->json, {"metadata", "uid"})) {
    return stale(resource, key);
  }
  if (options.resource_version &&
      *options.resource_version != text_at(stored->json, {"metadata", "resourceVersion"})) {
    return stale(resource, key);
  }
  const std::uint64_t before = state.store.version();
  const std::string uid = text_at(stored->json, {"metadata", "uid"});
  if (options.propagation == Propagation::kOrphan) {
    const auto kinds = state.store.kinds();
    for (const auto& [name, kind] : kinds) {
      const auto objects = state.store.all(kind);
      for (const auto& [other, object] : objects) {
        Json next = object.json;
        const Json* owners = find(next, {"metadata", "ownerReferences"});
        if (owners == nullptr) continue;
        Json left = Json::array();
        for (const Json& owner : *owners) {
          if (text_at(owner, {"uid"}) != uid) left.push_back(owner);
        }
        next["metadata"]["ownerReferences"] = std::move(left);
        if (next["metadata"]["ownerReferences"].empty()) next["metadata"].erase("ownerReferences");
        TRY(state.store.write(kind, other, std::move(next), object.owners, Part::kObject));
      }
    }
  }
  if (resource == kNamespaces) {
    // It goes when everything in it went: step_garbage.
    Json next = stored->json;
    next["metadata"]["finalizers"] = {"kubernetes"};
    TRY(state.store.write(resource, key, std::move(next), {}, Part::kObject));
  }
  state.store.remove(resource, key, options.grace_seconds == 0,
                     options.propagation == Propagation::kForeground);
  return state.answer("delete", resource, key, Part::kObject, before, ApiResult<void>{});
}

void ModelApi::set_faults(Faults faults) {
  const std::lock_guard lock(state_->mutex);
  state_->faults = faults;
}

void ModelApi::lose_answers(int calls) {
  const std::lock_guard lock(state_->mutex);
  state_->losing = calls;
}

void ModelApi::fail_calls(int calls, Cause cause) {
  const std::lock_guard lock(state_->mutex);
  state_->failing = calls;
  state_->failing_with = cause;
}

void ModelApi::set_gate(Gate gate) {
  const std::lock_guard lock(state_->mutex);
  state_->gate = std::move(gate);
}

void ModelApi::restart(bool forget) {
  const std::lock_guard lock(state_->mutex);
  ++state_->epoch;
  if (forget) state_->store.forget_history();
  state_->changed.notify_all();
}

std::string ModelApi::resource_version() const {
  const std::lock_guard lock(state_->mutex);
  return std::to_string(state_->store.version());
}

std::string ModelApi::resource_version(std::span<const Resource> kinds) const {
  const std::lock_guard lock(state_->mutex);
  std::uint64_t version = 0;
  for (const Resource& kind : kinds) version = std::max(version, state_->store.version_of(kind));
  return std::to_string(version);
}

void ModelApi::set_controllers(Controllers controllers) {
  const std::lock_guard lock(state_->mutex);
  state_->controllers = controllers;
}

bool ModelApi::step_controllers() {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  bool changed = false;
  if (state.controllers.stateful_sets) changed = step_stateful_sets(state.store) || changed;
  if (state.controllers.volumes) changed = step_volumes(state.store) || changed;
  if (state.controllers.pods) {
    const Broken broken = [&](const ObjectKey& key, const Json& pod) -> std::optional<std::string> {
      if (const auto found = state.broken.find(key); found != state.broken.end()) {
        return found->second;
      }
      return state.broken_pods ? state.broken_pods(pod) : std::nullopt;
    };
    changed = step_pods(state.store, broken) || changed;
  }
  if (state.controllers.garbage) changed = step_garbage(state.store) || changed;
  if (changed) state.changed.notify_all();
  return changed;
}

void ModelApi::run_controllers() {
  for (int round = 0; round < 1000; ++round) {
    if (!step_controllers()) return;
  }
  CHECK(false, "the controllers of the model find no end");
}

void ModelApi::advance(common::Duration step) {
  const std::lock_guard lock(state_->mutex);
  state_->store.advance(step);
  state_->changed.notify_all();
}

common::Timestamp ModelApi::now() const {
  const std::lock_guard lock(state_->mutex);
  return state_->store.now();
}

void ModelApi::break_pod(const ObjectKey& pod, std::optional<std::string> reason) {
  const std::lock_guard lock(state_->mutex);
  if (reason) {
    state_->broken[pod] = std::move(*reason);
  } else {
    state_->broken.erase(pod);
  }
}

void ModelApi::break_pods(std::function<std::optional<std::string>(const Json& pod)> reason_of) {
  const std::lock_guard lock(state_->mutex);
  state_->broken_pods = std::move(reason_of);
}

std::vector<Written> ModelApi::writes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->written;
}

void ModelApi::clear_writes() {
  const std::lock_guard lock(state_->mutex);
  state_->written.clear();
}

std::uint64_t ModelApi::calls(const std::string& verb) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->calls.find(verb);
  return found == state_->calls.end() ? 0 : found->second;
}

}  // namespace millrace::kube::testing
