// const Ending ending = reconciler.reconcile({"shop", "events"});
//
// One MillraceCluster: observe -> plan -> act -> report. Holds no decisions: those are in
// operator/plan.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "operator/control/deeds.h"
#include "operator/control/fleet.h"
#include "operator/control/metrics.h"
#include "operator/control/observer.h"
#include "operator/control/queue.h"
#include "operator/kube/events.h"

namespace millrace::control {

/// What both reconcilers work with. All must outlive them.
struct Tools {
  const World& world;
  kube::Api& api;
  Fleet& fleet;
  Metrics& metrics;
  const common::Clock& clock;
  /// This process leads now. Asked before each act.
  std::function<bool()> may_act;
  /// Best effort.
  std::function<void(kube::Event)> tell;
  /// One line, "event=... key=value ...".
  std::function<void(const std::string&)> log;
};

/// Each look: reads everything, plans, does the actions in order (leaving out the rest of a step of
/// which one failed), and writes the status if it means something else than the one that is there.
/// Any number of crashes in between gives the same end: nothing is kept but what explains (answers)
/// and what saves work (expectations). Several threads may look at different clusters.
class ClusterReconciler {
 public:
  ClusterReconciler(Tools tools, resources::ClusterDefaults defaults);

  Ending reconcile(const ObjectKey& key);

 private:
  /// What is remembered of a cluster between two looks.
  struct Memory {
    plan::Answers answers;
    Expectations expectations;
    Silence silence;
    /// Keys of the actions of the last look that were done: the same again is no progress.
    std::set<std::string> done_last;
  };
  /// What came of a plan's actions.
  struct Acts {
    std::set<std::string> done;
    bool failed = false;           // some action may succeed if it is tried again
    bool answers_changed = false;  // something was said that the next status should tell
    bool stopped = false;          // leadership is lost
  };

  Memory& memory_of(const ObjectKey& key);
  void forget(const ObjectKey& key);
  Acts act(const plan::ClusterPlan& plan, brokers::Admin& admin, Memory& memory);
  Done act(const plan::Action& action, brokers::Admin& admin, Memory& memory);
  /// False: it could not be written.
  bool report(const ObjectKey& key, const plan::ClusterPlan& plan);
  void tell_events(const Json& cluster, const plan::ClusterPlan& plan);

  const Tools tools_;
  Observer observer_;
  const Deeds deeds_;
  std::mutex mutex_;  // guards memories_, not what they hold: a key is at one worker
  std::map<ObjectKey, std::unique_ptr<Memory>> memories_;
};

/// Notes what was said to an action. True if that is news.
bool remember(plan::Answers& answers, const std::string& key, const Done& done);

}  // namespace millrace::control
