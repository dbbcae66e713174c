// Bench bench;   bench.make_cluster(3);   bench.settle();   EXPECT_EQ(bench.ready(), "True");
//
// Operators, an API server and brokers, all in memory and on one clock.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "operator/control/cluster_reconciler.h"
#include "operator/control/metered_api.h"
#include "operator/control/testing/model_brokers.h"
#include "operator/control/topic_reconciler.h"
#include "operator/control/watching.h"
#include "operator/control/workers.h"
#include "operator/kube/events.h"
#include "operator/kube/kinds.h"

namespace millrace::control::testing {

/// One operator: its caches, which are as old as the last sync(), and what works on them.
class Station {
 public:
  Station(kube::testing::ModelApi& api, const common::Clock& clock, Fleet& fleet,
          TopicSettings topics = {});

  /// The caches hear of everything that is there.
  void sync();
  /// Works on every key whose time has come, at most `most` looks, and sends its events. True if
  /// there was any.
  bool work(int most = 100);
  /// From now on it does not lead.
  void lose_leadership() { leads_ = false; }
  void release_finalizers(const std::string& space) { topics_.release_finalizers(space); }

  Metrics& metrics() { return metrics_; }
  const std::vector<kube::Event>& events() const { return events_; }

 private:
  Tools tools();
  void sync(const Resource& resource);

  const common::Clock& clock_;
  kube::testing::ModelApi& model_;
  Metrics metrics_;
  MeteredApi api_;
  Fleet& fleet_;
  Queue queue_;
  TopicIndex index_;
  World world_;
  std::vector<Resource> kinds_;
  std::map<std::string, std::unique_ptr<kube::Cache>> caches_;  // by plural
  std::map<std::string, kube::ChangeHandler> handlers_;
  std::string heard_;  // the server's version at the last sync()
  bool leads_ = true;
  std::vector<kube::Event> events_;
  kube::EventSender sender_;
  ClusterReconciler clusters_;
  TopicReconciler topics_;
  Workers workers_;
};

/// "patch pods shop/events-0" for each.
std::vector<std::string> told(const std::vector<kube::testing::Written>& writes);

/// One cluster "events" in the namespace "shop", its brokers, and one operator or several.
class Bench {
 public:
  explicit Bench(std::uint64_t seed = 1, TopicSettings topics = {});

  void make_cluster(int brokers, const kube::Json& more = kube::Json::object());
  void make_topic(const std::string& name, const kube::Json& spec = kube::Json::object());
  /// Merge patch of the cluster's or a topic's spec.
  void edit_cluster(const kube::Json& spec);
  void edit_topic(const std::string& name, const kube::Json& spec);

  /// The operator ends, as by kill -9, and another one begins.
  void restart_operator();
  Station& add_operator();
  Station& station(std::size_t index = 0) { return *stations_[index]; }

  /// One step of everything, then time passes.
  void round(common::Duration step = std::chrono::milliseconds(500));
  /// Rounds until nothing changed for ten seconds. False: that never came.
  bool settle(int rounds_most = 2000);
  /// What is written in so much time.
  std::vector<kube::testing::Written> written_in(common::Duration time);
  /// The operator ends before its call number `calls` from now; answers how many it made.
  void end_after(int calls);
  bool ended() const { return end_after_ == 0; }
  int calls_made() const { return calls_made_; }

  kube::Json cluster();
  kube::Json topic(const std::string& name);
  /// Status of a condition; empty without it.
  static std::string condition(const kube::Json& object, const std::string& type);
  static std::string reason(const kube::Json& object, const std::string& type);
  std::string ready() { return condition(cluster(), "Ready"); }
  /// Values of an annotation on the cluster's pods, by pod.
  std::map<std::string, std::string> pods(const std::string& annotation);

  static const kube::ObjectKey kKey;
  kube::testing::ModelApi api;
  common::ManualClock clock;  // as the server's
  std::shared_ptr<ModelBrokers> brokers;

 private:
  void arm();

  FleetOf fleet_;
  const TopicSettings topic_settings_;
  std::vector<std::unique_ptr<Station>> stations_;
  std::string controlled_;  // the server's version after the controllers' last round
  int end_after_ = -1;      // calls that the operator may still make; below 0: any number
  int calls_made_ = 0;
  bool operator_works_ = false;
};

}  // namespace millrace::control::testing
