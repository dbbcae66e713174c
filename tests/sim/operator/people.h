// People people({...}, story, cluster);   people.install();   people.start();   ... people.calm();
//
// Those who write resources: what they ask for, and what they do by hand.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/random.h"
#include "operator/kube/testing/model_api.h"
#include "tests/sim/operator/kubelet.h"
#include "tests/sim/operator/story.h"

namespace millrace::sim {

/// Used between the world's events.
class People {
 public:
  struct Parts {
    kube::testing::ModelApi& model;
    Agenda& agenda;
    Trace& trace;
    common::Random random;
    Kubelet& kubelet;
  };
  /// `story` outlives it.
  People(Parts parts, const Story& story, kube::ObjectKey cluster)
      : parts_(std::move(parts)), story_(story), cluster_(std::move(cluster)) {}

  /// Nodes, a cluster and the topics that clients use.
  void install();
  void start() { next(); }
  /// They ask for what can be had, take back what they did by hand, and do nothing more.
  void calm();
  /// Names of topics that were ever asked for.
  const std::vector<std::string>& topics() const { return topics_; }
  /// What of what they asked for is not there yet, as the resources say it; empty: nothing.
  std::string unsettled() const;

 private:
  void next();
  void make(Edit edit);
  kube::Json cluster_object();
  void make_cluster();
  void make_topic(const std::string& name, std::int32_t partitions, const char* policy);
  void make_nodes();
  void scale();
  void set_image();
  void set_setting();
  void set_config(const std::string& name, const kube::Json& value);
  void set_storage();
  void set_rollout();
  void set_rack();
  void hold_one();
  void release_holds();
  void pause(bool yes);
  void delete_pod();
  void drift();
  void make_some_topic();
  void change_topic();
  void grow_topic();
  void delete_topic();
  void recreate();
  void remake_when_gone();
  std::int32_t brokers_asked_for() const;
  std::string unsettled_cluster() const;
  std::string unsettled_pods(std::int64_t brokers) const;
  std::string unsettled_topics() const;
  void edit(const kube::Json& spec);
  void annotate(const kube::Resource& resource, const kube::ObjectKey& key, const std::string& name,
                const kube::Json& value);
  std::vector<kube::Json> all(const kube::Resource& resource) const;
  kube::Json any(const kube::Resource& resource);
  bool chance(std::uint64_t one_in) { return parts_.random.chance(1, one_in); }
  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    parts_.trace.say("people", format, std::forward<Args>(args)...);
  }

  Parts parts_;
  const Story& story_;
  const kube::ObjectKey cluster_;
  std::vector<std::string> topics_;
  std::map<std::string, std::int64_t> partitions_most_;  // that a topic of this name ever had
  /// spec of the cluster, as it was when it was deleted.
  kube::Json spec_;
  bool remaking_ = false;
  bool calm_ = false;
};

}  // namespace millrace::sim
