// What the resource says about itself.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "operator/plan/parts.h"
#include "operator/resources/fields.h"

namespace millrace::plan {
namespace {

using resources::at;
using resources::text_of;

/// A sentence names so many objects at most.
constexpr std::size_t kObjectsMax = 5;

bool is_said(const Draft& draft, Reason reason) {
  const auto& findings = draft.plan.findings;
  return std::any_of(findings.begin(), findings.end(),
                     [&](const Finding& one) { return one.reason == reason; });
}

/// What the resource is busy with.
bool is_progress(Reason reason) {
  switch (reason) {
    case Reason::kForming:
    case Reason::kPodsStarting:
    case Reason::kBrokerRecovering:
    case Reason::kImageChanged:
    case Reason::kConfigChanged:
    case Reason::kTemplateChanged:
    case Reason::kRackChanged:
    case Reason::kStuckPodReplaced:
    case Reason::kAskingPermit:
    case Reason::kWaitingForPermit:
    case Reason::kWaitingForUpdated:
    case Reason::kWaitingForBroker:
    case Reason::kWaitingForPause:
    case Reason::kWaitingForTemplate:
    case Reason::kScalingUp:
    case Reason::kRebalancing:
    case Reason::kDraining:
    case Reason::kScaleDownWaiting:
    case Reason::kDecommissioning:
    case Reason::kScaledDown:
    case Reason::kNeverJoined:
    case Reason::kIdentityUnknown:
    case Reason::kVolumeGrowing:
    case Reason::kConfigWaiting:
    case Reason::kAddressPending:
      return true;
    default:
      return false;
  }
}

/// Why it goes on as it does, before why it goes on at all: what it waits for is what people ask.
int progress_rank(Reason reason) {
  switch (reason) {
    case Reason::kWaitingForPermit:
    case Reason::kWaitingForUpdated:
    case Reason::kWaitingForBroker:
    case Reason::kWaitingForPause:
      return 0;
    case Reason::kAskingPermit:
    case Reason::kDraining:
    case Reason::kDecommissioning:
    case Reason::kScaleDownWaiting:
      return 1;
    default:
      return 2;
  }
}

/// One sentence for each reason, about all that have it.
std::string message_of(const std::vector<const Finding*>& findings) {
  std::vector<Finding> merged;
  std::map<Reason, std::size_t> objects;
  for (const Finding* const finding : findings) {
    const std::string about = finding->detail.empty()   ? finding->object
                              : finding->object.empty() ? finding->detail
                                                        : finding->object + ": " + finding->detail;
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const Finding& one) {
      return one.reason == finding->reason;
    });
    const std::size_t count = ++objects[finding->reason];
    if (same == merged.end()) {
      merged.push_back({finding->reason, {}, about});
    } else if (count <= kObjectsMax) {
      same->detail += (finding->detail.empty() ? ", " : "; ") + about;
    }
  }
  std::string message;
  for (Finding& one : merged) {
    const std::size_t count = objects.at(one.reason);
    if (count > kObjectsMax) one.detail += fmt::format(" and {} more", count - kObjectsMax);
    message += (message.empty() ? "" : " ") + sentence(one);
  }
  return message;
}

template <typename Wanted>
std::vector<const Finding*> those(const Draft& draft, const Wanted& wanted) {
  std::vector<const Finding*> found;
  for (const Finding& finding : draft.plan.findings) {
    if (wanted(finding.reason)) found.push_back(&finding);
  }
  return found;
}

Condition condition_of(std::string type, std::string status,
                       const std::vector<const Finding*>& findings, Reason otherwise) {
  Condition condition{.type = std::move(type), .status = std::move(status)};
  condition.reason = findings.empty() ? otherwise : findings.front()->reason;
  condition.message = findings.empty() ? sentence({otherwise, {}, {}}) : message_of(findings);
  return condition;
}

std::string status_before(const Picture& picture, std::string_view type) {
  const Json& conditions = at(*picture.status, "conditions");
  if (!conditions.is_array()) return {};
  for (const Json& condition : conditions) {
    if (text_of(at(condition, "type")) == type) return text_of(at(condition, "status"));
  }
  return {};
}

std::int32_t ready_pods(const Picture& picture) {
  std::int32_t ready = 0;
  for (const auto& [ordinal, pod] : picture.pods) {
    if (pod.ready && !pod.deleting && ordinal < picture.replicas) ++ready;
  }
  return ready;
}

/// Keeps it from being Ready whatever it was before.
bool is_outage(Reason reason) {
  switch (reason) {
    case Reason::kInvalidSpec:
    case Reason::kForeignVolumes:
    case Reason::kForming:
    case Reason::kBrokersUnreachable:
    case Reason::kNoController:
    case Reason::kPartitionsOffline:
    case Reason::kBrokerAway:
    case Reason::kPodCrashLooping:
    case Reason::kImagePullFailed:
    case Reason::kPodUnschedulable:
    case Reason::kPodBroken:
    case Reason::kVolumeLost:
      return true;
    default:
      return false;
  }
}

/// The brokers serve, and those that do not are on their way back.
Condition ready_condition(const Draft& draft) {
  const Picture& picture = draft.picture;
  auto outages = those(draft, is_outage);
  if (!outages.empty()) return condition_of("Ready", "False", outages, Reason::kAllWell);
  const auto coming = those(draft, [](Reason reason) {
    return reason == Reason::kPodsStarting || reason == Reason::kBrokerRecovering;
  });
  const bool all = coming.empty() && picture.view.reachable &&
                   ready_pods(picture) >= std::min(picture.wanted().brokers, draft.replicas);
  // Once all of them have been there it is the brokers who know, whatever was said meanwhile; and
  // before they were asked, by an operator that has just started, what was said still stands.
  bool joined = true;
  for (std::int32_t broker = 0; broker < std::min(picture.wanted().brokers, draft.replicas);
       ++broker) {
    const Volume* const volume = picture.volume(broker);
    joined = joined && volume != nullptr && !volume->directory_id.empty();
  }
  const bool said = status_before(picture, "Ready") == "True";
  const bool asked = picture.view.reachable || !picture.view.why_not.empty();
  const bool serves = all || (picture.view.reachable && (said || joined)) || (said && !asked);
  if (!serves) return condition_of("Ready", "False", coming, Reason::kPodsStarting);
  return condition_of("Ready", "True", {}, Reason::kAllWell);
}

Condition progress_condition(const Draft& draft) {
  const auto stopped = those(draft, [](Reason reason) { return reason == Reason::kRollStopped; });
  if (!stopped.empty()) return condition_of("Progressing", "False", stopped, Reason::kAllWell);
  auto busy = those(draft, is_progress);
  std::stable_sort(busy.begin(), busy.end(), [](const Finding* a, const Finding* b) {
    return progress_rank(a->reason) < progress_rank(b->reason);
  });
  if (!busy.empty()) return condition_of("Progressing", "True", busy, Reason::kAllWell);
  return condition_of("Progressing", "False", {}, Reason::kAllWell);
}

Condition degraded_condition(const Draft& draft) {
  auto problems =
      those(draft, [](Reason reason) { return text(reason).severity == Severity::kProblem; });
  // A roll that is stopped says which pod and why: that comes first.
  std::stable_sort(problems.begin(), problems.end(), [](const Finding* a, const Finding* b) {
    return (a->reason != Reason::kRollStopped) < (b->reason != Reason::kRollStopped);
  });
  if (!problems.empty()) return condition_of("Degraded", "True", problems, Reason::kAllWell);
  const auto warnings = those(draft, [](Reason reason) {
    return text(reason).severity == Severity::kWarning && reason != Reason::kSettingsUnsafe;
  });
  Condition condition{"Degraded", "False", Reason::kAllWell, "Nothing needs to be done."};
  if (!warnings.empty()) {
    condition.reason = warnings.front()->reason;
    condition.message = message_of(warnings);
  }
  return condition;
}

Condition safety_condition(Draft& draft) {
  const auto unsafe = unsafe_settings(draft.picture.wanted());
  if (unsafe.empty()) return condition_of("SafeSettings", "True", {}, Reason::kSettingsSafe);
  for (const std::string& setting : unsafe) draft.say(Reason::kSettingsUnsafe, {}, setting);
  const auto said = those(draft, [](Reason reason) { return reason == Reason::kSettingsUnsafe; });
  return condition_of("SafeSettings", "False", said, Reason::kSettingsUnsafe);
}

Json bootstrap_json(const Picture& picture) {
  Json list = Json::array();
  for (const resources::Listener& listener : picture.wanted().listeners) {
    if (listener.type == resources::ListenerType::kInternal) {
      list.push_back({{"name", listener.name},
                      {"address", bootstrap_address(picture.identity, picture.wanted())}});
    } else if (const auto address = outside_addresses(picture, listener).bootstrap) {
      list.push_back({{"name", listener.name}, {"address", *address}});
    }
  }
  return list;
}

std::string selector_text(const Picture& picture) {
  std::string selector;
  for (const auto& [name, value] : resources::selector_labels(picture.identity.name)) {
    selector += fmt::format("{}{}={}", selector.empty() ? "" : ",", name, value);
  }
  return selector;
}

Json leaving_json(const std::vector<Leaving>& leaving) {
  Json list = Json::array();
  for (const Leaving& one : leaving) {
    Json element = {{"broker", one.broker}};
    if (one.kept_since) element["keptSince"] = rfc3339(*one.kept_since);
    list.push_back(std::move(element));
  }
  return list;
}

/// What stays from one generation of the spec to the next, and what was last seen of the brokers.
Json numbers_json(const Draft& draft) {
  const Picture& picture = draft.picture;
  const Json& before = *picture.status;
  Json status = {
      {"brokers", picture.replicas},
      {"readyBrokers", ready_pods(picture)},
      {"selector", selector_text(picture)},
      {"bootstrap", bootstrap_json(picture)},
      {"clusterId", picture.cluster_id},
      {"voters", picture.voters},
      {"leaving", leaving_json(draft.leaving)},
      {"managedConfig", draft.managed_config},
      {"rollout",
       {{"revision", draft.revision}, {"updated", draft.updated}, {"stale", draft.stale}}}};
  Json held = Json::array();
  for (const auto& [ordinal, pod] : picture.pods) {
    if (pod.held) held.push_back(pod.name);
  }
  status["held"] = held;
  // In the middle of a roll it depends on who happens to answer.
  const bool settled = draft.stale == 0 && !picture.view.version.empty();
  const Json& version = at(before, "version");
  status["version"] = settled               ? Json(picture.view.version)
                      : version.is_string() ? version
                                            : Json("");
  for (const auto& [name, number] :
       {std::pair("partitions", picture.view.partitions),
        std::pair("underReplicatedPartitions", picture.view.under_replicated),
        std::pair("offlinePartitions", picture.view.offline)}) {
    const Json& last = at(before, name);
    status[name] = picture.view.reachable ? Json(number) : last.is_number() ? last : Json(0);
  }
  return status;
}

/// A condition that changed is news.
void add_events(Draft& draft, const std::vector<Condition>& conditions) {
  for (const Condition& condition : conditions) {
    if (status_before(draft.picture, condition.type) == condition.status) continue;
    const bool bad = condition.type == "Degraded"
                         ? condition.status == "True"
                         : condition.type == "SafeSettings" && condition.status == "False";
    const bool good = condition.type == "Ready" && condition.status == "True";
    if (bad || good) draft.plan.events.push_back({bad, condition.reason, condition.message});
  }
  const auto stale_before = resources::integer_of(at(*draft.picture.status, "rollout", "stale"));
  if (stale_before.value_or(0) > 0 && draft.stale == 0 && !is_said(draft, Reason::kInvalidSpec)) {
    draft.plan.events.push_back({false, Reason::kRolled, sentence({Reason::kRolled, {}, {}})});
  }
  for (const Action& action : draft.plan.actions) {
    const bool told = std::holds_alternative<Delete>(action.deed) ||
                      std::holds_alternative<Decommission>(action.deed) ||
                      std::holds_alternative<CancelDrain>(action.deed) ||
                      std::holds_alternative<AlterBrokerConfig>(action.deed) ||
                      action.reason == Reason::kDrifted || action.reason == Reason::kVolumeGrowing;
    if (told && draft.picture.answer(key(action)) == nullptr) {
      const bool warning = text(action.reason).severity == Severity::kWarning;
      draft.plan.events.push_back({warning, action.reason, action.note});
    }
  }
}

}  // namespace

void conclude(Draft& draft) {
  const Picture& picture = draft.picture;
  std::vector<Condition> conditions = {ready_condition(draft), progress_condition(draft),
                                       degraded_condition(draft), safety_condition(draft)};
  if (picture.paused) {
    conditions[1] = condition_of("Progressing", "False", {}, Reason::kPaused);
  }
  add_events(draft, conditions);
  const bool broken = is_said(draft, Reason::kInvalidSpec);
  const Json& before = *picture.status;
  // Without a spec that can be read the numbers would be those of a default one.
  Json status = broken && before.is_object() ? before : numbers_json(draft);
  status["observedGeneration"] = picture.identity.generation;
  status["conditions"] = conditions_json(conditions, at(before, "conditions"),
                                         picture.identity.generation, picture.now);
  if (before.is_object()) {
    for (const auto& [name, value] : before.items()) {
      if (!status.contains(name)) status[name] = nullptr;
    }
  }
  draft.plan.status_changed = status != before;
  draft.plan.status = std::move(status);
  draft.plan.resource_version = picture.identity.resource_version;
}

}  // namespace millrace::plan
