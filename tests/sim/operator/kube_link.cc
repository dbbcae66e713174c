#include "tests/sim/operator/kube_link.h"

#include <fmt/format.h>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"

namespace millrace::sim {
namespace {

using kube::ApiError;
using kube::ApiResult;
using kube::Cause;
using kube::Json;
using kube::ObjectKey;
using kube::Part;
using kube::Resource;
using std::chrono::microseconds;
using std::chrono::milliseconds;

/// How long a client waits for an answer.
constexpr common::Duration kPatience = std::chrono::seconds(10);

ApiError gone() {
  return {.cause = Cause::kCancelled, .detail = "the process has ended"};
}

std::string version_in(const Json& object) {
  return kube::text_at(object, {"metadata", "resourceVersion"});
}

/// What the rules are told of a write.
template <typename T>
const Json* written(const ApiResult<T>& result) {
  if constexpr (std::is_same_v<T, Json>) return &*result;
  return nullptr;
}

/// What the resource says of itself, for the trace: " [Ready=True AllWell, ...]".
std::string conditions_of(const Json* object) {
  const Json* const all =
      object == nullptr ? nullptr : kube::find(*object, {"status", "conditions"});
  if (all == nullptr || !all->is_array()) return {};
  std::string said;
  for (const Json& one : *all) {
    said += fmt::format("{}{}={} {}", said.empty() ? " [" : ", ", one.value("type", ""),
                        one.value("status", ""), one.value("reason", ""));
  }
  return said.empty() ? said : said + "]";
}

}  // namespace

void set_time(kube::testing::ModelApi& model, const common::Clock& clock) {
  model.advance(milliseconds(clock.wall() - model.now()));
}

common::Duration KubeLink::latency() {
  if (chance(faults_.slow)) return milliseconds(parts_.random.between(500, 6'000));
  return microseconds(parts_.random.between(100, 1'500));
}

std::optional<ApiError> KubeLink::arrive(const Call& call) {
  if (!parts_.life.call_begins()) return gone();
  if (faults_.cut) {
    if (!parts_.life.wait(kPatience)) return gone();
    return ApiError{.cause = Cause::kTimeout, .detail = "no way to the server"};
  }
  if (!parts_.life.wait(latency())) return gone();
  if (chance(faults_.refuse)) {
    const bool busy = parts_.random.chance(1, 2);
    return ApiError{.cause = busy ? Cause::kTooManyRequests : Cause::kUnavailable,
                    .detail = busy ? "too many requests" : "connection refused"};
  }
  set_time(parts_.model, parts_.clock);
  if (call.conditional && chance(faults_.conflict)) interfere(call);
  return std::nullopt;
}

/// Somebody else touches the object.
void KubeLink::interfere(const Call& call) {
  const Json touch = {
      {"metadata",
       {{"annotations",
         {{"example.org/touched", std::to_string(parts_.random.below(1'000'000))}}}}}};
  (void)parts_.model.patch(call.resource, call.key, touch);
}

template <typename T>
ApiResult<T> KubeLink::read(const Call& call, const std::function<ApiResult<T>()>& perform) {
  if (auto error = arrive(call)) return *std::move(error);
  ApiResult<T> result = perform();
  if (!parts_.life.call_is_done() || !parts_.life.wait(latency())) return gone();
  return result;
}

template <typename T>
ApiResult<T> KubeLink::write(const Call& call, const std::function<ApiResult<T>()>& perform) {
  if (auto error = arrive(call)) return *std::move(error);
  const auto before = parts_.model.get(call.resource, call.key);
  const std::string version = parts_.model.resource_version();
  if (before.ok()) parts_.rules.before_write(call.verb, call.resource, *before);
  ApiResult<T> result = perform();
  if (parts_.model.resource_version() != version) {
    const Json* const after = result.ok() ? written(result) : nullptr;
    parts_.trace.say(parts_.name, "{} {} {}{}", call.verb, call.resource.plural, call.key.text(),
                     conditions_of(after));
    parts_.rules.wrote({.by = parts_.name,
                        .verb = call.verb,
                        .resource = call.resource,
                        .key = call.key,
                        .before = before.ok() ? &*before : nullptr,
                        .after = after});
  } else if (!result.ok()) {
    parts_.trace.say(parts_.name, "{} {} {}: {}", call.verb, call.resource.plural, call.key.text(),
                     result.error().detail);
  }
  const bool lost = result.ok() && chance(faults_.lose);
  if (!parts_.life.call_is_done() || !parts_.life.wait(lost ? kPatience : latency())) return gone();
  if (!lost) return result;
  return ApiError{.cause = Cause::kTimeout, .detail = "no answer in time", .maybe_done = true};
}

ApiResult<Json> KubeLink::get(const Resource& resource, const ObjectKey& key, Part part) {
  return read<Json>({"get", resource, key}, [&] { return parts_.model.get(resource, key, part); });
}

ApiResult<kube::ListPage> KubeLink::list(const Resource& resource,
                                         const kube::ListOptions& options) {
  return read<kube::ListPage>({"list", resource, {options.space, ""}},
                              [&] { return parts_.model.list(resource, options); });
}

ApiResult<void> KubeLink::watch(const Resource& resource, const kube::WatchOptions&,
                                const kube::WatchSink&, std::stop_token) {
  CHECK(false, "a watch of {} would stop the world", resource.plural);
  return gone();
}

ApiResult<Json> KubeLink::create(const Resource& resource, const Json& object) {
  return write<Json>({"create", resource, kube::key_of(object)},
                     [&] { return parts_.model.create(resource, object); });
}

ApiResult<Json> KubeLink::update(const Resource& resource, const Json& object, Part part) {
  return write<Json>({"update", resource, kube::key_of(object), true},
                     [&] { return parts_.model.update(resource, object, part); });
}

ApiResult<Json> KubeLink::apply(const Resource& resource, const Json& manifest,
                                const kube::ApplyOptions& options) {
  return write<Json>({"apply", resource, kube::key_of(manifest), !version_in(manifest).empty()},
                     [&] { return parts_.model.apply(resource, manifest, options); });
}

ApiResult<Json> KubeLink::patch(const Resource& resource, const ObjectKey& key, const Json& patch,
                                kube::PatchKind kind, Part part) {
  if (part == Part::kStatus && resource == kube::kClusters && version_in(patch).empty())
    parts_.trace.fail(parts_.name + " writes the status of a cluster over any version");
  return write<Json>({"patch", resource, key, !version_in(patch).empty()},
                     [&] { return parts_.model.patch(resource, key, patch, kind, part); });
}

ApiResult<void> KubeLink::remove(const Resource& resource, const ObjectKey& key,
                                 const kube::DeleteOptions& options) {
  return write<void>({"delete", resource, key, options.resource_version.has_value()},
                     [&] { return parts_.model.remove(resource, key, options); });
}

}  // namespace millrace::sim
