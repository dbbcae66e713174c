#include "operator/plan/pod.h"

#include <fmt/format.h>

#include "operator/plan/status.h"
#include "operator/resources/cluster.h"
#include "operator/resources/fields.h"
#include "operator/resources/manifests.h"
#include "operator/resources/names.h"

namespace millrace::plan {
namespace {

using resources::at;
using resources::integer_of;
using resources::text_of;

std::int64_t since_ms(const Json& time, common::Timestamp now) {
  const auto then = parse_rfc3339(text_of(time));
  return then ? now - *then : 0;
}

const Json& named(const Json& list, std::string_view key, std::string_view value) {
  static const Json kNothing;
  if (!list.is_array()) return kNothing;
  for (const Json& element : list) {
    if (text_of(at(element, key)) == value) return element;
  }
  return kNothing;
}

std::optional<Reason> reason_of_waiting(std::string_view waiting) {
  if (waiting == "CrashLoopBackOff") return Reason::kPodCrashLooping;
  if (waiting == "ImagePullBackOff" || waiting == "ErrImagePull" || waiting == "InvalidImageName" ||
      waiting == "ErrImageNeverPull" || waiting == "ImageInspectError") {
    return Reason::kImagePullFailed;
  }
  if (waiting == "CreateContainerConfigError" || waiting == "CreateContainerError" ||
      waiting == "RunContainerError" || waiting == "StartError") {
    return Reason::kPodBroken;
  }
  return std::nullopt;
}

std::string end_of(const Json& terminated) {
  if (!terminated.is_object()) return {};
  std::string said =
      fmt::format("it ended with {}", integer_of(at(terminated, "exitCode")).value_or(-1));
  if (const std::string reason = text_of(at(terminated, "reason")); !reason.empty()) {
    said += fmt::format(" ({})", reason);
  }
  return said;
}

void fail(Pod& pod, Reason reason, std::string trouble, bool stuck) {
  if (stuck) pod.stuck = reason;
  pod.failing = reason;
  pod.trouble = std::move(trouble);
}

void read_container(Pod& pod, const Json& status, common::Timestamp now) {
  const Json& state = at(status, "state");
  const Json& waiting = at(state, "waiting");
  const Json& last = at(status, "lastState", "terminated");
  const std::int64_t restarts = integer_of(at(status, "restartCount")).value_or(0);
  pod.running = at(state, "running").is_object();
  if (const auto reason = reason_of_waiting(text_of(at(waiting, "reason")))) {
    const std::string ended = *reason == Reason::kPodCrashLooping ? end_of(last) : std::string();
    return fail(pod, *reason, ended.empty() ? text_of(at(waiting, "reason")) : ended, true);
  }
  if (restarts < kRestartsMax) return;
  // Between two ends the process is up for a moment, or about to be; a plan that took that for
  // recovery would say something else every few seconds.
  if (at(state, "terminated").is_object()) {
    return fail(pod, Reason::kPodCrashLooping, end_of(at(state, "terminated")), false);
  }
  const bool fresh = since_ms(at(state, "running", "startedAt"), now) <
                     std::chrono::milliseconds(kTrustedAfter).count();
  if (pod.running && !pod.ready && fresh && last.is_object()) {
    fail(pod, Reason::kPodCrashLooping, end_of(last), false);
  }
}

void read_placing(Pod& pod, const Json& conditions, common::Timestamp now) {
  const Json& placed = named(conditions, "type", "PodScheduled");
  if (text_of(at(placed, "status")) != "False") return;
  if (text_of(at(placed, "reason")) != "Unschedulable") return;
  pod.stuck = Reason::kPodUnschedulable;
  if (since_ms(at(placed, "lastTransitionTime"), now) <
      std::chrono::milliseconds(kPlacedWithin).count()) {
    return;
  }
  fail(pod, Reason::kPodUnschedulable, text_of(at(placed, "message")), true);
}

std::optional<std::string> find(const resources::Labels& labels, std::string_view name) {
  const auto found = labels.find(std::string(name));
  if (found == labels.end()) return std::nullopt;
  return found->second;
}

}  // namespace

std::optional<Pod> read_pod(std::string_view cluster, const Json& object, common::Timestamp now) {
  const resources::Identity identity = resources::identity_of(object);
  const auto ordinal = resources::ordinal_of_pod(cluster, identity.name);
  if (!ordinal) return std::nullopt;
  Pod pod;
  pod.ordinal = *ordinal;
  pod.name = identity.name;
  pod.uid = identity.uid;
  pod.resource_version = identity.resource_version;
  pod.node = text_of(at(object, "spec", "nodeName"));
  pod.host_ip = text_of(at(object, "status", "hostIP"));
  pod.revision = find(identity.annotations, resources::kRevisionAnnotation).value_or("");
  pod.image = text_of(at(named(at(object, "spec", "containers"), "name", "broker"), "image"));
  pod.settings = resources::settings_revision_of(object);
  pod.held = find(identity.annotations, resources::kHoldAnnotation) == "true";
  pod.deleting = identity.deleting;
  const Json& status = at(object, "status");
  const Json& ready = named(at(status, "conditions"), "type", "Ready");
  pod.ready = text_of(at(ready, "status")) == "True";
  if (pod.ready) pod.ready_since = parse_rfc3339(text_of(at(ready, "lastTransitionTime")));
  read_container(pod, named(at(status, "containerStatuses"), "name", "broker"), now);
  read_placing(pod, at(status, "conditions"), now);
  if (text_of(at(status, "phase")) == "Failed") {
    pod.running = false;
    const std::string why = text_of(at(status, "reason"));
    fail(pod, Reason::kPodBroken, why.empty() ? text_of(at(status, "message")) : why, true);
  }
  return pod;
}

}  // namespace millrace::plan
