#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "operator/plan/parts.h"
#include "operator/resources/fields.h"
#include "operator/resources/names.h"

namespace millrace::plan {
namespace {

using resources::at;
using resources::text_of;

ObjectRef ref_of(const Json& object) {
  return {text_of(at(object, "apiVersion")), text_of(at(object, "kind")),
          text_of(at(object, "metadata", "namespace")), text_of(at(object, "metadata", "name"))};
}

/// Whether `object` has the cluster as its controller, by uid.
bool is_ours(const Json& object, const std::string& uid) {
  const Json& owners = at(object, "metadata", "ownerReferences");
  return owners.is_array() && std::any_of(owners.begin(), owners.end(), [&](const Json& owner) {
           return resources::is_true(at(owner, "controller")) && text_of(at(owner, "uid")) == uid;
         });
}

Reason reason_of_change(const Json& desired, const Json& observed) {
  const auto stamp = [](const Json& object) {
    return at(object, "metadata", "annotations", resources::kAppliedAnnotation);
  };
  return stamp(desired) == stamp(observed) ? Reason::kDrifted : Reason::kUpdated;
}

void say_refused(Draft& draft, const ObjectRef& target) {
  const std::string about = fmt::format("{}/{}", target.kind, target.name);
  for (const std::string_view verb : {"Create", "Apply"}) {
    const Answer* const answer = draft.picture.answer(fmt::format("{}/{}", verb, about));
    if (answer == nullptr || answer->kind != Answer::Kind::kRefused) continue;
    draft.say(Reason::kApplyRefused, fmt::format("{} {}", target.kind, target.name),
              answer->sentence);
  }
}

void remove_rest(Draft& draft, const std::set<std::pair<std::string, std::string>>& wanted) {
  constexpr std::pair<std::string_view, std::string_view> kRemovable[] = {
      {"Service", "v1"},
      {"NetworkPolicy", "networking.k8s.io/v1"},
      {"PodMonitor", "monitoring.coreos.com/v1"},
  };
  const Picture& picture = draft.picture;
  if (!picture.observation->synced) return;
  for (const auto& [kind, api_version] : kRemovable) {
    const auto children = picture.observation->children.find(std::string(kind));
    if (children == picture.observation->children.end()) continue;
    for (const auto& [name, object] : children->second) {
      if (wanted.count({std::string(kind), name}) > 0) continue;
      const resources::Identity identity = resources::identity_of(object);
      const auto label = identity.labels.find(std::string(resources::kClusterLabel));
      if (label == identity.labels.end() || label->second != picture.identity.name) continue;
      if (identity.deleting || !is_ours(object, picture.identity.uid)) continue;
      const Step step = kind == "Service" ? Step::kServices : Step::kSurroundings;
      draft.act(step, Reason::kRemoved, fmt::format("remove {} {}", kind, name),
                Delete{{std::string(api_version), std::string(kind), identity.space, name},
                       identity.uid});
    }
  }
}

Step step_of(const std::string& kind) {
  if (kind == "Service") return Step::kServices;
  if (kind == "ConfigMap" || kind == "StatefulSet") return Step::kBrokers;
  return Step::kSurroundings;
}

/// Volumes of all replicas, before there is a pod that would have one made from the template.
void make_volumes(Draft& draft, const resources::ManifestRequest& request) {
  const Picture& picture = draft.picture;
  for (std::int32_t broker = 0; broker < request.replicas; ++broker) {
    if (picture.volume(broker) != nullptr) continue;
    Json claim = resources::stamped(resources::volume(request, broker, Json()));
    const ObjectRef target = ref_of(claim);
    say_refused(draft, target);
    draft.act(Step::kBrokers, Reason::kCreated,
              fmt::format("make volume {} of {}", target.name, request.spec.storage.size),
              Create{target, std::move(claim)});
  }
}

}  // namespace

bool apply_child(Draft& draft, Step step, Json object) {
  const ObjectRef target = ref_of(object);
  const Json* const observed = draft.picture.child(target.kind, target.name);
  const bool is_set = target.kind == "StatefulSet";
  object = resources::stamped(std::move(object));
  const std::string what = fmt::format("{} {}", target.kind, target.name);
  if (observed == nullptr) {
    say_refused(draft, target);
    if (is_set) {
      draft.act(step, Reason::kCreated, "make " + what, Create{target, std::move(object)});
    } else {
      draft.act(step, Reason::kCreated, "make " + what, Apply{target, std::move(object)});
    }
    return true;
  }
  if (!is_ours(*observed, draft.picture.identity.uid)) {
    draft.say(Reason::kNameTaken, what);
    draft.again(std::chrono::seconds(5));
    return false;
  }
  // It goes, and is made anew then.
  if (resources::identity_of(*observed).deleting) return !is_set;
  if (resources::is_applied(object, *observed)) return true;
  say_refused(draft, target);
  const Reason reason = reason_of_change(object, *observed);
  if (is_set) object["metadata"]["resourceVersion"] = at(*observed, "metadata", "resourceVersion");
  draft.act(step, reason, "change " + what, Apply{target, std::move(object)});
  return true;
}

void plan_children(Draft& draft) {
  const Picture& picture = draft.picture;
  // What the pods that are left over need goes with them: Services up to the replicas that are.
  const resources::ManifestRequest request = picture.request(draft.replicas);
  draft.revision = resources::pod_revision(request);
  const bool brokers = picture.observation->synced && picture.foreign_volumes.empty();
  if (brokers) make_volumes(draft, request);
  std::set<std::pair<std::string, std::string>> wanted;
  for (Json& object : resources::manifests(request)) {
    const ObjectRef target = ref_of(object);
    wanted.emplace(target.kind, target.name);
    if (target.kind == "PodMonitor" && !picture.observation->has_pod_monitors) continue;
    const Step step = step_of(target.kind);
    if (step == Step::kBrokers && !brokers) continue;
    if (!apply_child(draft, step, std::move(object)) && step == Step::kBrokers) break;
  }
  remove_rest(draft, wanted);
  for (const std::string& volume : picture.foreign_volumes) {
    draft.say(Reason::kForeignVolumes, "volume " + volume);
  }
}

}  // namespace millrace::plan
