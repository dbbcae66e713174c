// Watching watching(api, clock, {"shop"}, random);   watching.connect(queue, index, metrics);
// watching.start();
//
// The informers of everything the operator looks at, and whom their news concern.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "common/random.h"
#include "operator/control/metrics.h"
#include "operator/control/queue.h"
#include "operator/control/topic_index.h"
#include "operator/control/world.h"
#include "operator/kube/informer.h"

namespace millrace::control {

/// What is watched.
struct WatchingSettings {
  /// Namespaces; empty: all of them.
  std::vector<std::string> spaces;
  /// Labels and addresses of nodes. Needs a right that is not of one namespace.
  bool nodes = true;
};

/// Whom news of a kind concern: of a child its cluster; of a topic the topics of its cluster; of a
/// cluster itself and its topics; of a node all clusters. All must outlive the handler.
kube::ChangeHandler handler_for(const Resource& resource, const World& world, Queue& queue,
                                TopicIndex& index, Metrics& metrics);
/// The kinds that are found by the label of their cluster.
std::span<const Resource> child_kinds();

/// One thread per kind and namespace, from start() to stop().
class Watching {
 public:
  /// `api` and `clock` must outlive it.
  Watching(kube::Api& api, const common::Clock& clock, const WatchingSettings& settings,
           common::Random random);
  ~Watching();

  /// Before start(). All must outlive this.
  void connect(Queue& queue, TopicIndex& index, Metrics& metrics);
  void start();
  void stop();
  /// For simulations, which call them instead of start().
  std::span<const std::unique_ptr<kube::Informer>> informers() const { return informers_; }

  const World& world() const { return world_; }
  /// Every kind was listed once.
  bool synced() const;
  /// Waits for it; false: stop was asked for.
  bool wait_synced(const std::stop_token& stop);
  /// What keeps it from being synced, or from being up to date now: "pods: forbidden ...". Empty:
  /// nothing.
  std::string trouble() const;
  /// Adds what is counted by kind.
  void fill(Gauges& gauges) const;

 private:
  void add(const Resource& resource, const std::string& space);

  kube::Api& api_;
  const common::Clock& clock_;
  common::Random random_;
  World world_;
  std::vector<std::unique_ptr<kube::Informer>> informers_;
  std::vector<std::jthread> threads_;
};

}  // namespace millrace::control
