#include "operator/control/cluster_reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/plan/mutation.h"

namespace millrace::control {
namespace {

/// Caches follow a write within milliseconds; this is how often they are looked at meanwhile.
constexpr std::chrono::milliseconds kCacheWait{50};
/// A cluster is looked at that often although nothing changes: brokers tell nobody that they are
/// not well, and what they refused they may grant. A few calls, whatever the cluster holds.
constexpr std::chrono::milliseconds kLookEvery{10'000};

/// Whether there is reason to look at once what came of it. A question that was asked again is
/// none, except that a permit that was granted is to be used while it counts.
bool is_progress(const plan::Action& action) {
  return !action.asks || std::holds_alternative<plan::AcquirePermit>(action.deed);
}

std::string_view result_of(const Done& done) {
  if (!done.answer) return "ok";
  return done.answer->kind == plan::Answer::Kind::kRefused ? "refused" : "failed";
}

}  // namespace

bool remember(plan::Answers& answers, const std::string& key, const Done& done) {
  const auto known = answers.find(key);
  if (!done.answer) {
    if (known == answers.end()) return false;
    answers.erase(known);
    return true;
  }
  if (known != answers.end() && known->second.kind == done.answer->kind &&
      known->second.sentence == done.answer->sentence)
    return false;
  answers[key] = *done.answer;
  return true;
}

ClusterReconciler::ClusterReconciler(Tools tools, resources::ClusterDefaults defaults)
    : tools_(std::move(tools)),
      observer_(tools_.world, tools_.api, std::move(defaults)),
      deeds_(tools_.world, tools_.api, tools_.clock) {}

ClusterReconciler::Memory& ClusterReconciler::memory_of(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Memory>& memory = memories_[key];
  if (memory == nullptr) memory = std::make_unique<Memory>();
  return *memory;
}

void ClusterReconciler::forget(const ObjectKey& key) {
  {
    const std::lock_guard lock(mutex_);
    memories_.erase(key);
  }
  observer_.forget(key);
  tools_.fleet.forget(key);
  tools_.metrics.gone(Kind::kCluster, key);
}

Ending ClusterReconciler::reconcile(const ObjectKey& key) {
  if (!tools_.world.get(kube::kClusters, key)) {
    forget(key);
    return {Ending::Kind::kSettled};
  }
  Memory& memory = memory_of(key);
  if (!memory.expectations.met(tools_.world, tools_.clock.now()))
    return {Ending::Kind::kSettled, kCacheWait};
  const auto admin = tools_.fleet.admin(key, addresses_of(tools_.world.labelled(kube::kPods, key)));
  auto observation = observer_.observe(key, *admin);
  if (!observation) return {Ending::Kind::kAgain};
  observation->answers = memory.answers;
  memory.silence.judge(*observation, tools_.clock.now());
  const plan::ClusterPlan plan = plan::plan_cluster(*observation, tools_.clock.wall());

  const Acts acts = act(plan, *admin, memory);
  if (acts.stopped) return {Ending::Kind::kSettled};
  const bool reported = report(key, plan);
  tell_events(observation->cluster, plan);
  Standing standing = standing_of(plan.status, plan.findings);
  standing.brokers_desired =
      kube::number_at(observation->cluster, {"spec", "brokers"}).value_or(-1);
  standing.brokers_ready = kube::number_at(plan.status, {"readyBrokers"}).value_or(-1);
  tools_.metrics.stands(Kind::kCluster, key, std::move(standing));

  const bool progress =
      acts.answers_changed || (!acts.done.empty() && acts.done != memory.done_last);
  const bool stuck = !acts.done.empty() && !progress;
  memory.done_last = acts.done;
  if (progress) return {Ending::Kind::kAgain};
  // The same action done twice and wanted again: somebody undoes it, or it does nothing.
  if (acts.failed || stuck || !reported) return {Ending::Kind::kFailed, plan.requeue_after};
  return {Ending::Kind::kSettled, std::min(plan.requeue_after.value_or(kLookEvery), kLookEvery)};
}

ClusterReconciler::Acts ClusterReconciler::act(const plan::ClusterPlan& plan, brokers::Admin& admin,
                                               Memory& memory) {
  Acts acts;
  std::set<plan::Step> failed_steps;
  std::set<std::string> planned;
  for (const plan::Action& action : plan.actions) {
    const std::string key = plan::key(action);
    planned.insert(key);
    if (failed_steps.contains(action.step)) continue;
    if (!tools_.may_act()) {
      acts.stopped = true;
      return acts;
    }
    const Done done = act(action, admin, memory);
    if (remember(memory.answers, key, done)) acts.answers_changed = true;
    if (!done.ok) {
      failed_steps.insert(action.step);
      acts.failed = true;
    } else if (!done.answer && is_progress(action)) {
      acts.done.insert(key);
    }
  }
  // What is no longer wanted needs no explanation.
  std::erase_if(memory.answers,
                [&planned](const auto& answer) { return !planned.contains(answer.first); });
  return acts;
}

Done ClusterReconciler::act(const plan::Action& action, brokers::Admin& admin, Memory& memory) {
  const Done done = deeds_.perform(action, &admin, memory.expectations);
  tools_.metrics.acted(Work::kCluster, plan::verb(action), result_of(done));
  tools_.log(fmt::format("event=act action={} step={} reason={} result={} note=\"{}\"{}",
                         plan::key(action), plan::step_name(action.step), plan::code(action.reason),
                         result_of(done), action.note,
                         done.answer ? fmt::format(" answer=\"{}\"", done.answer->sentence) : ""));
  return done;
}

bool ClusterReconciler::report(const ObjectKey& key, const plan::ClusterPlan& plan) {
  if (!plan.status_changed) return true;
  if (!tools_.may_act()) return true;
  Json patch = {{"metadata", {{"resourceVersion", plan.resource_version}}},
                {"status", plan.status}};
  if (plan::mutated(plan::Mutation::kReportBlindly)) patch.erase("metadata");
  const auto written =
      tools_.api.patch(kube::kClusters, key, patch, kube::PatchKind::kMerge, kube::Part::kStatus);
  if (!written.ok()) {
    // Deleted meanwhile: there is nobody to tell.
    if (written.error().cause == kube::Cause::kNotFound) return true;
    tools_.log(fmt::format("event=status-not-written cluster={} detail=\"{}\"", key.text(),
                           written.error().detail));
    return false;
  }
  tools_.metrics.status_written(Kind::kCluster);
  memory_of(key).expectations.wrote(tools_.world, kube::kClusters, *written, tools_.clock.now());
  return true;
}

void ClusterReconciler::tell_events(const Json& cluster, const plan::ClusterPlan& plan) {
  for (const plan::Event& event : plan.events) {
    tools_.metrics.event(plan::code(event.reason));
    tools_.tell({.regarding = kube::reference_of(kube::kClusters, cluster),
                 .type = event.warning ? kube::EventType::kWarning : kube::EventType::kNormal,
                 .reason = std::string(plan::code(event.reason)),
                 .note = event.message});
  }
}

}  // namespace millrace::control
