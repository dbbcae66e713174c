// Process process(options, *api, clock, random);   process.start();   ...   process.stop();
//
// One operator: everything wired together. main() adds signals.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/clock.h"
#include "common/process/pages.h"
#include "common/random.h"
#include "operator/control/cluster_reconciler.h"
#include "operator/control/metered_api.h"
#include "operator/control/topic_reconciler.h"
#include "operator/control/watching.h"
#include "operator/control/workers.h"
#include "operator/kube/events.h"
#include "operator/kube/lease.h"
#include "operator/main/options.h"

namespace millrace::operators {

/// Watches from the start, acts while it leads. A process that has lost the lease never acts again:
/// it is to end, and a new one takes part in the election.
class Process {
 public:
  struct Servers {
    kube::Api& api;
    /// For the lease alone, so that no slow call costs it.
    kube::Api& lease_api;
  };
  /// `own_space`: the namespace that this process runs in; may be empty. All must outlive it.
  Process(const Options& options, std::string own_space, const Servers& servers,
          const common::Clock& clock, common::Random random);
  ~Process();

  /// Opens the pages and begins. `ended` is called, on some thread, when leadership is lost.
  /// The error: the address cannot be listened on.
  std::optional<std::string> start(std::function<void()> ended);
  /// Stops acting, releases finalizers if its own namespace is going, tells what is to be told,
  /// gives the lease up, stops watching: in this order.
  void stop();

  int port() const { return pages_ == nullptr ? 0 : pages_->port(); }
  bool leading() const { return leadership_.leading(); }

 private:
  std::optional<std::string> open_pages();
  control::Tools tools();
  control::Ending reconcile(const control::Key& key);
  void led(bool leads, const std::function<void()>& ended);
  void begin_to_act(const std::stop_token& stop);
  void stop_acting();
  std::string not_ready() const;
  std::string metrics_text() const;
  /// Whether nodes may be read; asked once.
  static bool may_read_nodes(kube::Api& api);

  const Options options_;
  const std::string own_space_;
  const common::Clock& clock_;
  control::Metrics metrics_;
  control::MeteredApi api_;
  control::MeteredApi lease_api_;
  control::Queue queue_;
  control::TopicIndex index_;
  control::GrpcFleet fleet_;
  control::Watching watching_;
  kube::EventSender events_;
  kube::Leadership leadership_;
  control::ClusterReconciler clusters_;
  control::TopicReconciler topics_;
  control::Workers workers_;
  std::unique_ptr<process::PageServer> pages_;
  std::jthread telling_;
  std::jthread electing_;
  std::mutex mutex_;  // guards what follows
  bool stopping_ = false;
  std::jthread acting_;  // waits for the caches, then starts the workers
};

}  // namespace millrace::operators
