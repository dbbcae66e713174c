// Rules R1 to R8 of cluster_plan.h.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "operator/plan/mutation.h"
#include "operator/plan/parts.h"
#include "operator/resources/fields.h"

namespace millrace::plan {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Candidate {
  const Pod* pod = nullptr;
  const BrokerView* broker = nullptr;
  std::string rack;
};

/// Why the pod does not run what is asked for; nullopt: it does.
std::optional<Reason> why_stale(const Draft& draft, const Pod& pod) {
  const Picture& picture = draft.picture;
  if (pod.revision != draft.revision) {
    if (pod.image != picture.wanted().image) return Reason::kImageChanged;
    const auto settings = resources::settings_revision(picture.request(draft.replicas));
    return pod.settings != settings ? Reason::kConfigChanged : Reason::kTemplateChanged;
  }
  // A rack that is not known any more is no reason: its label may be back in a moment.
  const std::string rack = picture.rack_of(pod);
  const BrokerView* const broker = picture.broker(pod.ordinal);
  const Volume* const volume = picture.volume(pod.ordinal);
  const bool differs = !rack.empty() && broker != nullptr && broker->alive &&
                       broker->state != BrokerState::kUnregistered && broker->rack != rack;
  if (!differs || volume == nullptr || volume->rack == rack) return std::nullopt;
  return Reason::kRackChanged;
}

/// So that a broker that does not take up its rack is not restarted for it for ever. After the
/// restart: one that is not written down is only done once more.
void remember_rack(Draft& draft, const Pod& pod) {
  const Picture& picture = draft.picture;
  const Volume* const volume = picture.volume(pod.ordinal);
  const std::string rack = picture.rack_of(pod);
  if (volume == nullptr || rack.empty() || volume->rack == rack) return;
  draft.act(Step::kRoll, Reason::kRackChanged,
            fmt::format("note that broker {} was restarted for rack {}", pod.ordinal, rack),
            Patch{.target = volume_ref(picture, *volume),
                  .patch = {{"metadata", {{"annotations", {{resources::kRackAnnotation, rack}}}}}},
                  .uid = volume->uid,
                  .resource_version = {}});
}

/// Whether the StatefulSet makes pods of what is asked for now.
bool is_taken_up(const Draft& draft) {
  const Picture& picture = draft.picture;
  if (picture.stateful_set == nullptr || !picture.template_taken_up) return false;
  const Json& annotations =
      resources::at(*picture.stateful_set, "spec", "template", "metadata", "annotations");
  return resources::text_of(resources::at(annotations, resources::kRevisionAnnotation)) ==
         draft.revision;
}

/// The broker of this pod is not one of the cluster, for certain. While nobody answers, what is not
/// written on its volume may just not have been written yet, unless there is no cluster so far.
bool has_never_joined(const Picture& picture, const Pod& pod) {
  if (picture.has_joined(pod.ordinal)) return false;
  if (picture.knows_enough) return true;
  return std::none_of(picture.volumes.begin(), picture.volumes.end(),
                      [](const auto& volume) { return !volume.second.directory_id.empty(); });
}

/// The settings file that the pod starts with is no more: it would wait for it for ever.
bool lacks_settings(const Picture& picture, const Pod& pod) {
  const Json* const map =
      picture.child("ConfigMap", resources::names::config(picture.identity.name));
  if (map == nullptr || pod.settings.empty() || pod.running) return false;
  return !resources::at(*map, "data", pod.settings + ".yaml").is_string();
}

/// R2: nobody loses anything when this pod goes.
bool serves_nobody(const Picture& picture, const Pod& pod) {
  if (!picture.observation->synced || pod.ready) return false;
  const BrokerView* const broker = picture.broker(pod.ordinal);
  if (broker != nullptr && broker->alive) return false;
  return pod.stuck.has_value() || lacks_settings(picture, pod) || has_never_joined(picture, pod);
}

/// Pods that no node takes and that were never one of the cluster keep nobody waiting, nor do those
/// whose brokers have left it.
bool counts(const Picture& picture, const Pod& pod) {
  if (picture.left_by_hand(pod.ordinal)) return false;
  return pod.stuck != Reason::kPodUnschedulable || picture.has_joined(pod.ordinal);
}

/// R3 and R4 for one pod: whether it keeps others from being restarted, said in a finding.
bool holds_up(Draft& draft, const Pod& pod, bool updated) {
  const Picture& picture = draft.picture;
  if (picture.is_well(pod) || !counts(picture, pod)) return false;
  const std::string name = "pod " + pod.name;
  if (updated && pod.failing && pod.failing != Reason::kPodUnschedulable) {
    draft.say(Reason::kRollStopped, name, pod.trouble);
  } else {
    draft.say(updated ? Reason::kWaitingForUpdated : Reason::kWaitingForBroker, name);
  }
  return true;
}

/// R3 to R5: whether a pod may be restarted at all now. `stale` are those that are to be.
bool may_restart(Draft& draft, const std::vector<Candidate>& stale) {
  const Picture& picture = draft.picture;
  bool held_up = false;
  for (std::int32_t ordinal = 0; ordinal < picture.replicas; ++ordinal) {
    const Pod* const pod = picture.pod(ordinal);
    if (pod == nullptr) {
      if (!picture.has_joined(ordinal)) continue;
      draft.say(Reason::kWaitingForBroker,
                "pod " + resources::names::pod(picture.identity.name, ordinal), "it is not there");
      held_up = true;
    } else {
      const bool updated = std::none_of(stale.begin(), stale.end(), [&](const Candidate& one) {
        return one.pod->ordinal == ordinal;
      });
      held_up = holds_up(draft, *pod, updated && pod->revision == draft.revision) || held_up;
    }
  }
  if (held_up) return false;
  const std::int64_t pause_ms = milliseconds(seconds(picture.wanted().rollout.pause_s)).count();
  std::int64_t left_ms = 0;
  for (const auto& [ordinal, pod] : picture.pods) {
    if (pod.revision != draft.revision || !pod.ready_since) continue;
    left_ms = std::max(left_ms, pause_ms - (picture.now - *pod.ready_since));
  }
  if (left_ms <= 0) return true;
  draft.say(Reason::kWaitingForPause);
  draft.again(milliseconds(left_ms));
  return false;
}

/// R6: those that are to be restarted together.
std::vector<Candidate> next_ones(const Picture& picture, std::vector<Candidate> candidates) {
  const std::int32_t controller = picture.view.controller;
  std::string last_rack;
  for (const Candidate& one : candidates) {
    if (one.pod->ordinal == controller) last_rack = one.rack;
  }
  std::map<std::string, std::int32_t> lowest;
  for (const Candidate& one : candidates) {
    const auto [found, is_new] = lowest.emplace(one.rack, one.pod->ordinal);
    if (!is_new) found->second = std::min(found->second, one.pod->ordinal);
  }
  const auto order = [&](const Candidate& one) {
    const bool last = !last_rack.empty() && one.rack == last_rack;
    return std::tuple(last, lowest.at(one.rack), one.pod->ordinal == controller, one.pod->ordinal);
  };
  std::sort(candidates.begin(), candidates.end(),
            [&](const Candidate& a, const Candidate& b) { return order(a) < order(b); });
  const std::string rack = candidates.front().rack;
  std::erase_if(candidates, [&](const Candidate& one) { return one.rack != rack; });
  const auto at_once = static_cast<std::size_t>(picture.wanted().rollout.at_once);
  if (at_once > 0 && candidates.size() > at_once) candidates.resize(at_once);
  return candidates;
}

bool may_stop(const Picture& picture, const BrokerView& broker) {
  if (mutated(Mutation::kRestartUnpermitted)) return true;
  if (!broker.permit || broker.permit->incarnation != broker.incarnation) return false;
  return broker.permit->expires_at - picture.now >= milliseconds(kPermitMargin).count();
}

/// R7.
void restart(Draft& draft, const std::vector<Candidate>& candidates) {
  const Picture& picture = draft.picture;
  bool any = false;
  for (const Candidate& one : candidates) {
    if (!may_stop(picture, *one.broker)) continue;
    const Reason reason = *why_stale(draft, *one.pod);
    // Only as it was read: somebody may hold it since then.
    draft.act(Step::kRoll, reason,
              fmt::format("restart pod {}: {}", one.pod->name, text(reason).meaning),
              Delete{pod_ref(picture, *one.pod), one.pod->uid, one.pod->resource_version});
    draft.destroys = true;
    if (reason == Reason::kRackChanged) remember_rack(draft, *one.pod);
    any = true;
  }
  if (any) return;
  for (const Candidate& one : candidates) {
    const std::int32_t broker = one.pod->ordinal;
    const Answer* const answer = picture.answer(fmt::format("AcquirePermit/{}", broker));
    const bool refused = answer != nullptr && answer->kind == Answer::Kind::kRefused;
    draft.say(refused ? Reason::kWaitingForPermit : Reason::kAskingPermit, broker_name(broker),
              refused ? answer->sentence : "");
    draft.plan.actions.push_back(
        {.step = Step::kRoll,
         .reason = Reason::kAskingPermit,
         .note = fmt::format("ask whether broker {} may stop", broker),
         .deed = AcquirePermit{broker, one.broker->incarnation, milliseconds(kPermitLasts).count()},
         .asks = true});
  }
  draft.again(seconds(3));
}

/// R2; true: one was replaced.
bool replace_stuck(Draft& draft, const std::vector<Candidate>& stale) {
  if (draft.destroys) return false;
  for (const Candidate& one : stale) {
    if (!serves_nobody(draft.picture, *one.pod)) continue;
    // Only as it was read: it may have come right since then.
    draft.act(Step::kRoll, Reason::kStuckPodReplaced,
              fmt::format("replace pod {}, which serves nobody: {}", one.pod->name,
                          text(*why_stale(draft, *one.pod)).meaning),
              Delete{pod_ref(draft.picture, *one.pod), one.pod->uid, one.pod->resource_version});
    draft.destroys = true;
    return true;
  }
  return false;
}

std::string rack_for_roll(const Picture& picture, const Pod& pod) {
  const std::string rack = picture.rack_of(pod);
  // Without a rack everybody stands for himself.
  return rack.empty() ? fmt::format("pod {:05}", pod.ordinal) : "rack " + rack;
}

}  // namespace

void plan_roll(Draft& draft) {
  const Picture& picture = draft.picture;
  std::vector<Candidate> stale;
  std::vector<Candidate> candidates;
  bool some_restarting = false;
  for (const auto& [ordinal, pod] : picture.pods) {
    if (ordinal >= picture.replicas || ordinal >= draft.replicas) continue;
    const auto reason = why_stale(draft, pod);
    ++(reason ? draft.stale : draft.updated);
    if (!reason) continue;
    const BrokerView* const broker = picture.broker(ordinal);
    Candidate one{&pod, broker, rack_for_roll(picture, pod)};
    if (pod.held && !mutated(Mutation::kIgnoreHold)) {
      draft.say(Reason::kHeld, "pod " + pod.name, std::string(text(*reason).meaning));
      continue;
    }
    draft.say(*reason, "pod " + pod.name);
    if (pod.deleting) {
      some_restarting = true;
      continue;
    }
    stale.push_back(one);
    const bool stays = broker != nullptr && broker->state == BrokerState::kActive;
    if (stays && !picture.leaves(ordinal)) candidates.push_back(one);
  }
  if (stale.empty()) {
    if (some_restarting) draft.again(seconds(3));
    return;
  }
  draft.again(seconds(3));
  if (!is_taken_up(draft)) return draft.say(Reason::kWaitingForTemplate);
  if (replace_stuck(draft, stale)) return;
  if (!picture.knows_enough || !may_restart(draft, stale)) return;
  if (candidates.empty() || draft.destroys) return;
  restart(draft, next_ones(picture, std::move(candidates)));
}

}  // namespace millrace::plan
