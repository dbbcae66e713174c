// OperatorProcess process({...}, plan, faults);   process.start();   ...   process.kill();
//
// One process of the operator: its reconcilers, caches, election and events are the shipping ones,
// wired as in operator/main/process.h; its threads are steps of the agenda.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/random.h"
#include "operator/control/cluster_reconciler.h"
#include "operator/control/metered_api.h"
#include "operator/control/topic_reconciler.h"
#include "operator/control/watching.h"
#include "operator/control/workers.h"
#include "operator/kube/events.h"
#include "operator/kube/lease.h"
#include "tests/sim/operator/admin_link.h"
#include "tests/sim/operator/kube_link.h"
#include "tests/sim/operator/watch_feed.h"

namespace millrace::sim {

/// What every process of a run is started with.
struct OperatorSettings {
  std::chrono::seconds lease{15};
  /// Looks at a cluster that follow each other.
  common::Duration spacing = std::chrono::milliseconds(50);
  common::Duration resync = std::chrono::seconds(30);
  std::string image;
};

/// While one of its calls is under way the world goes on, its other threads too. It may be killed
/// inside of that; so it is kept until the run is over. Used between the world's events.
class OperatorProcess {
 public:
  struct Parts {
    kube::testing::ModelApi& model;
    Agenda& agenda;
    Trace& trace;
    common::Random random;
    Rules& rules;
    AddressBook& book;
    const common::Clock& clock;
    std::string name;
  };
  struct Faults {
    KubeFaults kube;
    AdminFaults admin;
  };
  OperatorProcess(Parts parts, OperatorSettings settings, const Faults& faults);
  ~OperatorProcess();
  OperatorProcess(const OperatorProcess&) = delete;
  OperatorProcess& operator=(const OperatorProcess&) = delete;

  void start();
  /// SIGTERM: it ends what it does, gives up its lease, and ends.
  void stop();
  /// kill -9.
  void kill();
  Life& life() { return life_; }
  bool ended() const { return life_.over(); }
  bool leading() const { return !ended() && leadership_.leading(); }
  void break_watches(bool forgotten);
  const std::string& name() const { return parts_.name; }
  std::uint64_t looks() const { return looks_; }

 private:
  control::Tools tools();
  KubeLink link_of(const Faults& faults);
  void led(bool leads);
  bool may_run() const { return !life_.over() && !life_.stands_still(); }
  /// A thread: does `step` again and again, never in itself, while the process lives.
  template <typename Step>
  void run(Step step, common::Duration least, common::Duration most);
  void hear();
  void lead();
  void work();
  void begin_to_act();
  control::Ending reconcile(const control::Key& key);

  Parts parts_;
  const OperatorSettings settings_;
  Life life_;
  KubeLink link_;
  control::Metrics metrics_;
  control::MeteredApi api_;
  control::Queue queue_;
  control::TopicIndex index_;
  AdminLinks fleet_;
  control::Watching watching_;
  kube::EventSender events_;
  kube::Leadership leadership_;
  control::ClusterReconciler clusters_;
  control::TopicReconciler topics_;
  control::Workers workers_;
  std::vector<std::unique_ptr<WatchFeed>> feeds_;
  bool acts_ = false;      // it has led with full caches
  bool working_ = false;   // a look is under way
  bool stopping_ = false;  // it begins no further look
  common::Instant lead_at_{};
  std::uint64_t looks_ = 0;
};

}  // namespace millrace::sim
