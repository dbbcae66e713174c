#include <fmt/format.h>

#include <algorithm>

#include "operator/plan/mutation.h"
#include "operator/plan/parts.h"
#include "operator/resources/fields.h"
#include "operator/resources/names.h"
#include "operator/resources/quantity.h"

namespace millrace::plan {
namespace {

using resources::at;
using resources::text_of;

std::string name_of(const Volume& volume) {
  return "volume " + volume.name;
}

/// Size, labels and owner. A volume that cannot become what is asked for holds up nothing else; it
/// comes behind the others, so that they are tried first.
void correct(Draft& draft, const resources::ManifestRequest& request, const Volume& volume) {
  Json claim = resources::stamped(resources::volume(request, volume.ordinal, *volume.object));
  const std::int64_t wanted = resources::quantity_bytes(request.spec.storage.size).value_or(0);
  const bool grows = wanted > volume.requested_bytes;
  if (resources::is_applied(claim, *volume.object)) {
    if (volume.capacity_bytes == 0 || volume.capacity_bytes >= volume.requested_bytes) return;
    draft.say(Reason::kVolumeGrowing, name_of(volume));
    return draft.again(std::chrono::seconds(10));
  }
  Action action{
      .step = Step::kVolumes,
      .reason = grows ? Reason::kVolumeGrowing : Reason::kUpdated,
      .note = grows ? fmt::format("{} grows to {}", name_of(volume), request.spec.storage.size)
                    : fmt::format("change {}", name_of(volume)),
      .deed = Apply{volume_ref(draft.picture, volume), std::move(claim)}};
  const Answer* const answer = draft.picture.answer(key(action));
  auto& actions = draft.plan.actions;
  if (answer != nullptr && answer->kind == Answer::Kind::kRefused) {
    draft.say(grows ? Reason::kVolumeGrowRefused : Reason::kApplyRefused, name_of(volume),
              answer->sentence);
    actions.push_back(std::move(action));
    return;
  }
  if (grows) draft.say(Reason::kVolumeGrowing, name_of(volume));
  const auto first = std::find_if(actions.begin(), actions.end(),
                                  [](const Action& one) { return one.step == Step::kVolumes; });
  actions.insert(first, std::move(action));
}

void say_what_differs(Draft& draft, const Volume& volume) {
  const resources::Storage& storage = draft.picture.wanted().storage;
  if (volume.lost) draft.say(Reason::kVolumeLost, name_of(volume));
  const std::int64_t wanted = resources::quantity_bytes(storage.size).value_or(0);
  if (volume.requested_bytes > wanted) {
    draft.say(Reason::kVolumeLarger, name_of(volume),
              text_of(at(*volume.object, "spec", "resources", "requests", "storage")));
  }
  if (storage.storage_class && *storage.storage_class != volume.storage_class) {
    draft.say(Reason::kVolumeClass, name_of(volume),
              volume.storage_class.empty() ? "none" : volume.storage_class);
  }
}

/// Marks the volume with the directory of the broker on it, while that is well: what is asked about
/// the broker when it is to leave has to be known from a better time.
void mark(Draft& draft, const Volume& volume) {
  const Picture& picture = draft.picture;
  const BrokerView* const broker = picture.broker(volume.ordinal);
  const Pod* const pod = picture.pod(volume.ordinal);
  if (!picture.knows_enough || broker == nullptr || pod == nullptr) return;
  if (broker->directory_id.empty() || broker->state == BrokerState::kUnregistered) return;
  if (volume.directory_id == broker->directory_id || volume.deleting) return;
  if (!volume.directory_id.empty()) {
    if (broker->alive && !volume.retired() && !picture.leaves(volume.ordinal)) {
      draft.say(Reason::kIdentityMismatch, broker_name(volume.ordinal),
                fmt::format("it has directory {}, volume {} is marked with {}",
                            broker->directory_id, volume.name, volume.directory_id));
    }
    return;
  }
  if (!broker->alive || pod->deleting || !pod->ready) return;
  draft.act(
      Step::kMarks, Reason::kIdentityRecorded,
      fmt::format("mark {} with directory {} of broker {}", name_of(volume), broker->directory_id,
                  volume.ordinal),
      Patch{
          .target = volume_ref(picture, volume),
          .patch = {{"metadata",
                     {{"annotations", {{resources::kDirectoryAnnotation, broker->directory_id}}}}}},
          .uid = volume.uid,
          .resource_version = {}});
}

void delete_retired(Draft& draft, const Volume& volume, Reason reason) {
  draft.destroys = true;
  draft.act(Step::kScaleDown, reason,
            fmt::format("delete {} against receipt {}", name_of(volume),
                        resources::to_text(volume.receipt.value_or(resources::Receipt{}))),
            Delete{volume_ref(draft.picture, volume), volume.uid});
}

/// S6, and what makes room for a broker that comes back as a new one.
void remove_retired(Draft& draft, const Volume& volume) {
  const Picture& picture = draft.picture;
  const bool wanted_again = !picture.leaves(volume.ordinal) || draft.in_the_way == volume.ordinal;
  const bool retired = volume.retired() || mutated(Mutation::kDeleteUnretired);
  if (!retired || volume.deleting || volume.ordinal < picture.replicas) return;
  if (picture.pod(volume.ordinal) != nullptr || !picture.observation->synced) return;
  if (!wanted_again && !picture.wanted().storage.delete_on_scale_down) return;
  draft.again(std::chrono::seconds(1));
  if (draft.destroys) return;
  delete_retired(draft, volume, wanted_again ? Reason::kVolumeRetired : Reason::kVolumeDeleted);
}

/// A pod that was made after its claim was to go is on a new one, of which nothing was heard yet.
bool uses(const Picture& picture, const Pod& pod, const Volume& volume) {
  const Json& object = picture.observation->pods.at(pod.name);
  const auto made = parse_rfc3339(text_of(at(object, "metadata", "creationTimestamp")));
  const auto gone = parse_rfc3339(text_of(at(*volume.object, "metadata", "deletionTimestamp")));
  return !made || !gone || *made <= *gone;
}

/// S9. In this order: the claim stays as long as its pod does, and no new pod takes one that goes.
void replace_retired(Draft& draft, const Volume& volume) {
  const Picture& picture = draft.picture;
  const BrokerView* const known = picture.broker(volume.ordinal);
  const bool registered = known != nullptr && known->state != BrokerState::kUnregistered;
  const bool stays = !picture.leaves(volume.ordinal) && volume.ordinal < picture.replicas - 1;
  if (!volume.retired() || !stays || registered || !picture.knows_enough) return;
  const Pod* const pod = picture.pod(volume.ordinal);
  if (pod != nullptr && pod->held) {
    return draft.say(Reason::kHeld, "pod " + pod->name, "it runs on a retired volume");
  }
  draft.say(Reason::kScalingUp, broker_name(volume.ordinal), "its old volume goes first");
  draft.again(std::chrono::seconds(1));
  if (draft.destroys) return;
  if (!volume.deleting) {
    delete_retired(draft, volume, Reason::kVolumeRetired);
  } else if (pod != nullptr && !pod->deleting && uses(picture, *pod, volume)) {
    draft.destroys = true;
    draft.act(Step::kScaleDown, Reason::kVolumeRetired,
              fmt::format("restart pod {} on a new volume", pod->name),
              Delete{pod_ref(picture, *pod), pod->uid, pod->resource_version});
  }
}

}  // namespace

void plan_volumes(Draft& draft) {
  const Picture& picture = draft.picture;
  const resources::ManifestRequest request = picture.request(draft.replicas);
  for (const auto& [ordinal, volume] : picture.volumes) {
    remove_retired(draft, volume);
    replace_retired(draft, volume);
    if (ordinal >= picture.replicas && ordinal >= draft.replicas) continue;
    if (volume.deleting || volume.retired()) continue;
    if (!volume.cluster_id.empty() && volume.cluster_id != picture.cluster_id) continue;
    say_what_differs(draft, volume);
    mark(draft, volume);
    correct(draft, request, volume);
  }
}

}  // namespace millrace::plan
