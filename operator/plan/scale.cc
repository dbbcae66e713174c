// Rules S1 to S8, CANCEL and SCALE UP of cluster_plan.h.
#include <fmt/format.h>

#include <algorithm>

#include "operator/plan/mutation.h"
#include "operator/plan/parts.h"

namespace millrace::plan {
namespace {

using std::chrono::seconds;

/// Whether pod, number, directory and volume of the broker belong together (S3).
bool check_identity(Draft& draft, const BrokerView& broker) {
  const Picture& picture = draft.picture;
  const Volume* const volume = picture.volume(broker.id);
  const std::string name = broker_name(broker.id);
  if (volume == nullptr || volume->directory_id.empty()) {
    draft.say(Reason::kIdentityUnknown, name, "its volume is not marked with a directory");
    return false;
  }
  if (broker.directory_id.empty()) {
    draft.say(Reason::kIdentityUnknown, name, "the cluster does not say which directory it has");
    return false;
  }
  if (broker.directory_id != volume->directory_id) {
    draft.say(Reason::kIdentityMismatch, name,
              fmt::format("it has directory {}, volume {} is marked with {}", broker.directory_id,
                          volume->name, volume->directory_id));
    return false;
  }
  const std::string host =
      resources::names::host(picture.identity.space, picture.identity.name, broker.id);
  if (!broker.endpoint.empty() &&
      broker.endpoint != fmt::format("{}:{}", host, resources::kInternalPort)) {
    draft.say(Reason::kIdentityMismatch, name,
              fmt::format("it is reached at {}, which is not pod {}", broker.endpoint,
                          resources::names::pod(picture.identity.name, broker.id)));
    return false;
  }
  return true;
}

void decommission(Draft& draft, std::int32_t broker, const Volume& volume) {
  const std::string key = fmt::format("Decommission/{}", broker);
  const Answer* const answer = draft.picture.answer(key);
  draft.say(Reason::kDecommissioning, broker_name(broker), answer ? answer->sentence : "");
  draft.again(seconds(5));
  if (draft.destroys) return;
  draft.destroys = true;
  draft.act(
      Step::kScaleDown, Reason::kDecommissioning,
      fmt::format("broker {} is empty: it leaves for good", broker),
      Decommission{broker, volume.directory_id, volume_ref(draft.picture, volume), volume.uid});
}

void lower(Draft& draft, Reason reason, std::int32_t broker) {
  // Together with anything else that is destroyed it waits for its turn.
  draft.again(seconds(1));
  if (draft.destroys) return;
  draft.destroys = true;
  draft.replicas = broker;
  draft.say(reason, broker_name(broker));
}

/// The status says that it leaves.
bool is_leaving(const Picture& picture, std::int32_t broker) {
  return std::any_of(picture.leaving.begin(), picture.leaving.end(), [&](const Leaving& one) {
    return one.broker == broker && !one.kept_since.has_value();
  });
}

/// S1: what is to leave is drained, and how that goes is said.
void drain(Draft& draft, const BrokerView& broker) {
  const std::string key = fmt::format("Drain/{}", broker.id);
  const Answer* const answer = draft.picture.answer(key);
  const std::string name = broker_name(broker.id);
  draft.again(seconds(5));
  if (answer != nullptr && answer->kind == Answer::Kind::kRefused) {
    const bool begun = broker.state == BrokerState::kDraining;
    draft.say(begun ? Reason::kDrainBlocked : Reason::kScaleDownRefused, name, answer->sentence);
  } else {
    draft.say(Reason::kDraining, name, fmt::format("{} replicas left", broker.replicas));
  }
  // Only after the status says so, and says of no earlier drain that it was called off: whoever
  // reads it later knows who began this one. Asked again while it goes on it tells what blocks it.
  if (!is_leaving(draft.picture, broker.id)) return;
  draft.plan.actions.push_back({.step = Step::kScaleDown,
                                .reason = Reason::kDraining,
                                .note = fmt::format("drain broker {}: it is to leave", broker.id),
                                .deed = Drain{broker.id},
                                .asks = broker.state == BrokerState::kDraining});
}

bool is_held(const Picture& picture, std::int32_t broker) {
  const Pod* const pod = picture.pod(broker);
  return pod != nullptr && pod->held;
}

/// S7: nobody has ever seen the broker of this pod, and no process of it runs.
bool never_joined(const Picture& picture, std::int32_t broker) {
  if (picture.has_joined(broker) || picture.broker(broker) != nullptr) return false;
  const Pod* const pod = picture.pod(broker);
  return pod == nullptr || (!pod->running && !pod->ready);
}

/// The cluster knows this broker, which has no pod any more, and its volume is there.
bool comes_back(const Picture& picture, const BrokerView& broker) {
  if (broker.id < picture.replicas || broker.state == BrokerState::kUnregistered) return false;
  const Volume* const volume = picture.volume(broker.id);
  if (volume == nullptr || volume->retired()) return false;
  // Also where nobody has marked the volume so far: a pod more harms nobody.
  return volume->directory_id.empty() || volume->directory_id == broker.directory_id;
}

/// S2 to S7 for the highest ordinal.
void remove_highest(Draft& draft, std::int32_t broker) {
  const Picture& picture = draft.picture;
  const Volume* const volume = picture.volume(broker);
  const BrokerView* const known = picture.broker(broker);
  const bool registered = known != nullptr && known->state != BrokerState::kUnregistered;
  if (volume != nullptr && volume->retired()) {
    if (!registered) return lower(draft, Reason::kScaledDown, broker);
    if (known->directory_id != volume->receipt->directory_id) {
      return draft.say(Reason::kIdentityMismatch, broker_name(broker),
                       "its volume is retired, and it runs on another directory");
    }
    // Who answered has not heard yet that it left.
    draft.say(Reason::kDecommissioning, broker_name(broker));
    return draft.again(seconds(1));
  }
  if (registered) {
    if (known->state != BrokerState::kDrained) return;
    // Who is above it gets its pod back, and leaves first: else a retired volume would lie below.
    const auto is_above = [&](const BrokerView& other) { return comes_back(picture, other); };
    if (std::ranges::any_of(picture.view.brokers, is_above)) return;
    if (mutated(Mutation::kLowerUnretired)) return lower(draft, Reason::kScaledDown, broker);
    if (check_identity(draft, *known)) decommission(draft, broker, *volume);
    return draft.again(seconds(5));
  }
  if (never_joined(picture, broker)) return lower(draft, Reason::kNeverJoined, broker);
  if (volume != nullptr && !volume->directory_id.empty()) {
    // It has left, and the receipt was not written down: the cluster gives the same one again.
    return decommission(draft, broker, *volume);
  }
  draft.say(Reason::kScaleDownWaiting, broker_name(broker),
            "its process runs and has not joined the cluster yet");
  draft.again(seconds(5));
}

void scale_down(Draft& draft) {
  const Picture& picture = draft.picture;
  const std::int32_t highest = picture.replicas - 1;
  // A retired volume has to go even if its broker is to stay now: it can only come back as new.
  const Volume* const last = picture.volume(highest);
  const bool retired = last != nullptr && last->retired();
  if (picture.wanted().brokers >= picture.replicas && !retired) return;
  for (const auto& [ordinal, pod] : picture.pods) {
    if (!pod.held || !picture.leaves(ordinal)) continue;
    draft.say(Reason::kHeld, "pod " + pod.name, "the broker is to leave");
  }
  if (!picture.knows_enough) {
    draft.say(Reason::kScaleDownWaiting, broker_name(highest), "no broker answers for the cluster");
    return draft.again(seconds(5));
  }
  for (const BrokerView& broker : picture.view.brokers) {
    if (!picture.leaves(broker.id) || is_held(picture, broker.id)) continue;
    if (broker.state == BrokerState::kActive || broker.state == BrokerState::kDraining) {
      drain(draft, broker);
    } else if (broker.state == BrokerState::kDrained && broker.id != highest) {
      draft.say(Reason::kDraining, broker_name(broker.id), "it is empty and waits for its turn");
    }
  }
  if (!is_held(picture, highest)) remove_highest(draft, highest);
}

/// A volume of the cluster's that nobody has emptied.
bool is_in_use(const Picture& picture, const Volume& volume) {
  const bool ours = volume.cluster_id.empty() || volume.cluster_id == picture.cluster_id;
  return ours && !volume.retired() && !volume.deleting;
}

/// The cluster does not know this broker any more, although its volume says that it did: it has
/// left, and its receipt was not written down.
bool left_without_receipt(const Picture& picture, std::int32_t broker) {
  const BrokerView* const known = picture.broker(broker);
  const Volume* const volume = picture.volume(broker);
  return picture.knows_enough && broker < picture.replicas &&
         (known == nullptr || known->state == BrokerState::kUnregistered) && volume != nullptr &&
         !volume->directory_id.empty() && !volume->retired();
}

/// Somebody else has lowered the number of pods: a broker of the cluster is above the highest pod,
/// and has not left. As the highest leaves first, none below it has either.
bool lowered_by_others(const Picture& picture) {
  return std::any_of(picture.volumes.begin(), picture.volumes.end(), [&](const auto& entry) {
    const auto& [ordinal, volume] = entry;
    return ordinal >= picture.replicas && !volume.directory_id.empty() &&
           is_in_use(picture, volume);
  });
}

/// Whether the highest broker, which was to leave and is to stay now, may have left already: then
/// it has to go first. Said, if so.
bool may_have_left(Draft& draft) {
  const Picture& picture = draft.picture;
  const std::int32_t highest = picture.replicas - 1;
  for (const Leaving& one : picture.leaving) {
    const Volume* const volume = picture.volume(highest);
    if (one.broker != highest || picture.leaves(highest) || volume == nullptr) continue;
    // Without the pods that somebody took away there may never be anybody to ask.
    const bool unknown = !picture.knows_enough && !one.kept_since && !volume->retired() &&
                         !lowered_by_others(picture);
    if (!unknown && !left_without_receipt(picture, highest)) continue;
    draft.say(Reason::kScalingUp, broker_name(highest), "it may have left already, and goes first");
    draft.again(seconds(5));
    return true;
  }
  return false;
}

/// CANCEL, and what status.leaving says from now on.
void keep_leaving_list(Draft& draft) {
  const Picture& picture = draft.picture;
  for (const Leaving& one : picture.leaving) {
    const BrokerView* const broker = picture.broker(one.broker);
    const bool gone = picture.knows_enough && one.broker >= picture.replicas && broker == nullptr;
    if (gone) continue;
    Leaving next{one.broker, std::nullopt};
    if (!picture.leaves(one.broker) && left_without_receipt(picture, one.broker)) {
      // The cluster gives the same receipt again, and refuses if it is none that has left.
      decommission(draft, one.broker, *picture.volume(one.broker));
    } else if (!picture.leaves(one.broker) && picture.knows_enough) {
      const bool drained = broker != nullptr && (broker->state == BrokerState::kDraining ||
                                                 broker->state == BrokerState::kDrained);
      if (drained && !mutated(Mutation::kKeepDrain)) {
        draft.say(Reason::kScaleDownCancelled, broker_name(one.broker));
        draft.act(Step::kScaleDown, Reason::kScaleDownCancelled,
                  fmt::format("broker {} stays: its drain is called off", one.broker),
                  CancelDrain{one.broker});
      } else {
        next.kept_since = one.kept_since.value_or(picture.now);
        const std::int64_t kept_ms = picture.now - *next.kept_since;
        if (kept_ms >= std::chrono::milliseconds(kKeptFor).count()) continue;
      }
      draft.again(seconds(5));
    }
    draft.leaving.push_back(next);
  }
  if (!picture.knows_enough) return;
  for (const BrokerView& broker : picture.view.brokers) {
    const bool registered = broker.state != BrokerState::kUnregistered;
    if (!picture.leaves(broker.id) || !registered || picture.is_listed(broker.id)) continue;
    if (is_held(picture, broker.id)) continue;
    draft.leaving.push_back({broker.id, std::nullopt});
  }
}

/// So many pods that every volume in use has one. One that is not marked counts: its broker may
/// vote for the metadata, and the others wait for it.
std::int32_t replicas_for_volumes(const Picture& picture) {
  std::int32_t replicas = 0;
  for (const auto& [ordinal, volume] : picture.volumes) {
    if (is_in_use(picture, volume)) replicas = std::max(replicas, ordinal + 1);
  }
  return replicas;
}

/// As many as can be had now: a retired volume has to be gone before its broker comes back.
std::int32_t replicas_after_scale_up(Draft& draft, std::int32_t wanted) {
  const Picture& picture = draft.picture;
  for (std::int32_t broker = picture.replicas; broker < wanted; ++broker) {
    const Volume* const volume = picture.volume(broker);
    if (volume == nullptr || (!volume->retired() && !volume->deleting)) continue;
    draft.in_the_way = broker;
    draft.say(Reason::kScalingUp, broker_name(broker), "its old volume goes first");
    draft.again(seconds(2));
    return broker;
  }
  return wanted;
}

/// Brokers that the cluster knows and that have no pod any more, after a scale-down by other means:
/// those with a volume get their pods back, as only a running broker can be drained quickly, and
/// what it alone has is nowhere else. Where the brokers that are left lead no metadata, or have
/// said nothing for long as they wait for others, which ones it takes cannot be asked: all that
/// were not emptied.
/// Returns how many replicas that takes.
std::int32_t replicas_for_strays(Draft& draft) {
  const Picture& picture = draft.picture;
  std::int32_t replicas = 0;
  const bool leaderless = picture.view.reachable && picture.view.controller < 0;
  const bool silent = !picture.view.reachable && !picture.view.why_not.empty();
  if (leaderless || (silent && !picture.pods.empty())) {
    replicas = replicas_for_volumes(picture);
    for (std::int32_t broker = picture.replicas; broker < replicas; ++broker)
      draft.say(Reason::kStrayBroker, broker_name(broker), "it may be missing for a majority");
    return replicas;
  }
  if (!picture.knows_enough) return replicas;
  for (const BrokerView& broker : picture.view.brokers) {
    if (broker.id < std::max(picture.replicas, picture.wanted().brokers)) continue;
    if (broker.state == BrokerState::kUnregistered) continue;
    const Volume* const volume = picture.volume(broker.id);
    if (volume != nullptr && volume->retired()) continue;
    draft.say(Reason::kStrayBroker, broker_name(broker.id),
              fmt::format("spec.brokers is {}", picture.wanted().brokers));
    if (comes_back(picture, broker)) replicas = std::max(replicas, broker.id + 1);
  }
  return replicas;
}

/// What somebody did with millctl to brokers that are to stay: it is said, and left so.
void look_at_what_others_did(Draft& draft) {
  const Picture& picture = draft.picture;
  if (!picture.knows_enough) return;
  for (const BrokerView& broker : picture.view.brokers) {
    if (picture.leaves(broker.id) || picture.is_listed(broker.id)) continue;
    if (broker.state == BrokerState::kDrained) {
      draft.say(Reason::kDrainedByHand, broker_name(broker.id), "it is empty");
    } else if (broker.state == BrokerState::kDraining) {
      draft.say(Reason::kDrainedByHand, broker_name(broker.id),
                fmt::format("{} replicas left", broker.replicas));
    }
  }
  for (const auto& [ordinal, volume] : picture.volumes) {
    if (!picture.left_by_hand(ordinal)) continue;
    draft.say(Reason::kDecommissionedByHand, broker_name(ordinal),
              fmt::format("volume claim {}, pod {}", volume.name,
                          resources::names::pod(picture.identity.name, ordinal)));
  }
}

}  // namespace

void plan_scale(Draft& draft) {
  const Picture& picture = draft.picture;
  draft.replicas = picture.replicas;
  keep_leaving_list(draft);
  look_at_what_others_did(draft);
  if (picture.stateful_set == nullptr) {
    // Else all would seem well as long as the pods of the one before are there.
    if (!picture.pods.empty()) draft.say(Reason::kPodsStarting, {}, "the StatefulSet is made anew");
    draft.replicas = replicas_after_scale_up(
        draft, std::max(picture.wanted().brokers, replicas_for_volumes(picture)));
    return;
  }
  if (!picture.observation->synced) return;
  scale_down(draft);
  const std::int32_t wanted = std::max(picture.wanted().brokers, replicas_for_strays(draft));
  const Volume* const last = picture.volume(picture.replicas - 1);
  if (wanted <= picture.replicas || (last != nullptr && last->retired())) return;
  if (!may_have_left(draft)) {
    draft.replicas = replicas_after_scale_up(draft, wanted);
    draft.say(Reason::kScalingUp, {}, fmt::format("from {} to {}", picture.replicas, wanted));
  }
}

}  // namespace millrace::plan
