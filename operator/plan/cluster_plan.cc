#include "operator/plan/cluster_plan.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "operator/plan/parts.h"

namespace millrace::plan {
namespace {

/// When nothing happens: brokers tell nobody that something has changed about them.
constexpr std::chrono::seconds kLookEvery{30};

/// Brokers that are not well answer late or never. Until then nobody else's action would be done,
/// and after it pods have changed: each deletion would be refused.
void ask_last(std::vector<Action>& actions) {
  std::ranges::stable_partition(actions, [](const Action& action) {
    const Deed& deed = action.deed;
    return std::holds_alternative<Create>(deed) || std::holds_alternative<Apply>(deed) ||
           std::holds_alternative<Patch>(deed) || std::holds_alternative<Delete>(deed);
  });
}

}  // namespace

ClusterPlan plan_cluster(const ClusterObservation& observation, common::Timestamp now) {
  const Picture picture = draw(observation, now);
  Draft draft{.picture = picture, .plan = {}, .leaving = {}, .managed_config = {}, .revision = {}};
  // The garbage collector takes everything that has an owner; volumes have one if they are to go.
  if (picture.identity.deleting) {
    draft.say(Reason::kDeleting);
    return std::move(draft.plan);
  }
  for (const std::string& problem : picture.spec.problems) {
    draft.say(Reason::kInvalidSpec, {}, problem);
  }
  draft.replicas = picture.replicas;
  if (!picture.spec.problems.empty()) {
    conclude(draft);
    return std::move(draft.plan);
  }
  plan_scale(draft);
  plan_children(draft);
  plan_volumes(draft);
  plan_places(draft);
  plan_live_config(draft);
  plan_roll(draft);
  look_at_health(draft);
  if (picture.paused) {
    // What would be done stands in no status; how it is, does.
    draft.plan.actions.clear();
    draft.leaving = picture.leaving;
    draft.managed_config = picture.managed_config;
  }
  ask_last(draft.plan.actions);
  conclude(draft);
  draft.again(kLookEvery);
  return std::move(draft.plan);
}

}  // namespace millrace::plan
