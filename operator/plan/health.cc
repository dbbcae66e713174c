#include <fmt/format.h>

#include "operator/plan/parts.h"

namespace millrace::plan {
namespace {

std::string who_is_away(const ClusterView& view) {
  std::string away;
  for (const BrokerView& broker : view.brokers) {
    if (!broker.alive)
      away += fmt::format("{}{}", away.empty() ? "away: brokers " : ", ", broker.id);
  }
  return away;
}

/// The cluster as a whole; what its parts say comes before it.
void look_at_cluster(Draft& draft, bool any_ready) {
  const ClusterView& view = draft.picture.view;
  if (!view.reachable) {
    bool joined = false;
    for (const auto& [ordinal, volume] : draft.picture.volumes) {
      joined = joined || !volume.directory_id.empty();
    }
    if (!joined) {
      draft.say(Reason::kForming, {}, view.why_not);
    } else if (any_ready && !view.why_not.empty()) {
      draft.say(Reason::kBrokersUnreachable, {}, view.why_not);
    }
    return draft.again(std::chrono::seconds(3));
  }
  if (view.controller < 0) draft.say(Reason::kNoController, {}, who_is_away(view));
  if (view.offline > 0 || view.under_min_in_sync > 0) {
    draft.say(Reason::kPartitionsOffline, {},
              fmt::format("{} without a leader, {} with too few replicas in sync", view.offline,
                          view.under_min_in_sync));
  }
  if (view.under_replicated > 0) {
    draft.say(Reason::kUnderReplicated, {}, fmt::format("{} partitions", view.under_replicated));
  }
  if (view.moving > 0) {
    draft.say(Reason::kRebalancing, {}, fmt::format("{} partitions", view.moving));
  }
  if (view.controller < 0 || view.under_replicated > 0 || view.moving > 0 || view.offline > 0) {
    draft.again(std::chrono::seconds(5));
  }
}

void look_at_pod(Draft& draft, const Pod& pod) {
  const Picture& picture = draft.picture;
  const std::string name = "pod " + pod.name;
  // plan_scale says so; a process that is started on a disk that has left can only end again.
  if (picture.left_by_hand(pod.ordinal)) return draft.again(std::chrono::seconds(10));
  if (pod.failing) {
    draft.say(*pod.failing, name, pod.trouble);
    return draft.again(std::chrono::seconds(10));
  }
  if (pod.deleting) return draft.say(Reason::kPodsStarting, name, "it ends first");
  const BrokerView* const broker = picture.broker(pod.ordinal);
  const bool heard = broker != nullptr && broker->alive;
  if (heard && !broker->recovered) {
    draft.say(Reason::kBrokerRecovering, broker_name(pod.ordinal));
    return draft.again(std::chrono::seconds(5));
  }
  if (!pod.ready) {
    // An unschedulable pod becomes a problem by time alone.
    if (pod.stuck) draft.again(std::chrono::seconds(10));
    return draft.say(Reason::kPodsStarting, name);
  }
  const std::string rack = picture.rack_of(pod);
  const Volume* const volume = picture.volume(pod.ordinal);
  if (heard && !rack.empty() && broker->rack != rack && volume != nullptr && volume->rack == rack) {
    draft.say(Reason::kRackIgnored, broker_name(pod.ordinal),
              fmt::format("it says '{}', its node is in {}", broker->rack, rack));
  }
  if (picture.view.reachable && !heard) {
    draft.say(Reason::kBrokerAway, broker_name(pod.ordinal));
    draft.again(std::chrono::seconds(3));
  }
}

}  // namespace

void look_at_health(Draft& draft) {
  const Picture& picture = draft.picture;
  bool any_ready = false;
  for (std::int32_t ordinal = 0; ordinal < draft.replicas; ++ordinal) {
    if (const Pod* const pod = picture.pod(ordinal)) {
      any_ready = any_ready || pod->ready;
      look_at_pod(draft, *pod);
    } else {
      draft.say(Reason::kPodsStarting,
                "pod " + resources::names::pod(picture.identity.name, ordinal));
    }
  }
  look_at_cluster(draft, any_ready);
}

}  // namespace millrace::plan
