// World world; world.settle(); EXPECT_EQ(world.status("Ready"), "True");
//
// A small Kubernetes and a small cluster of brokers, in memory, for tests of plans: what actions
// do, what becomes of it, and what must never happen. Time moves only by tick(). Deterministic.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/plan/cluster_plan.h"
#include "operator/resources/receipt.h"

namespace millrace::plan::testing {

/// What a volume holds.
struct Disk {
  /// Empty: blank.
  std::string directory_id;
  /// Replicas that only this disk may have.
  std::int32_t replicas = 0;
};

/// A broker as the cluster knows it.
struct Member {
  std::string directory_id;
  std::int64_t epoch = 0;
  BrokerState state = BrokerState::kActive;
  std::string rack;
  std::optional<PermitView> permit;
};

/// A process of a broker.
struct Process {
  std::string pod_uid;
  std::string incarnation;
  std::string directory_id;
  std::string rack;
  /// Ticks that it still needs until it is caught up.
  std::int32_t recovers = 0;
};

class World {
 public:
  World();

  // ---- what the shell does

  ClusterObservation observe() const;
  /// Plans on what is there now, does every action in order as the shell does, writes the status.
  /// Returns the plan.
  ClusterPlan pass();
  /// The same on something that was observed earlier.
  ClusterPlan pass_on(const ClusterObservation& observation);
  /// One action. False: it failed; the answer is kept.
  bool act(const Action& action);
  void write_status(const ClusterPlan& plan);
  /// Passes and ticks until a plan has no actions and nothing moves; fails the test if it takes
  /// more than `passes`.
  void settle(int passes = 400);

  // ---- what time does

  /// Controllers, kubelets and brokers go on for two seconds.
  void tick();
  common::Timestamp now() const { return now_; }
  void advance(std::chrono::milliseconds step) { now_ = now_ + step.count(); }

  // ---- what people and fate do

  Json& cluster() { return objects_["MillraceCluster"]["events"]; }
  /// Merges `patch` into the spec, as kubectl patch does.
  void edit(const Json& patch);
  void annotate(const std::string& kind, const std::string& name, const std::string& key,
                const std::optional<std::string>& value);
  void remove(const std::string& kind, const std::string& name);
  /// Another node label for the node of a pod.
  void set_rack(const std::string& node, const std::string& rack);
  /// The process of a broker dies and is started again.
  void kill(std::int32_t broker);
  /// Somebody decommissions it, if it is drained.
  bool leave(std::int32_t broker);
  /// Its process is not started, until later.
  void stop(std::int32_t broker, bool stopped);
  Json& object(const std::string& kind, const std::string& name) { return objects_[kind][name]; }
  std::map<std::string, Json>& all(const std::string& kind) { return objects_[kind]; }

  // ---- knobs

  bool brokers_reachable = true;
  /// While they are not reachable: that they do not answer has lasted long enough to be said.
  bool brokers_asked = true;
  bool nodes_readable = true;
  bool synced = true;
  bool volumes_can_grow = true;
  /// A replacement for the answer of a permit: the reason why it is refused.
  std::optional<std::string> no_permit;
  std::optional<std::string> no_drain;
  /// Drains and recoveries stand still.
  bool stuck = false;
  /// Ticks that a broker needs to catch up.
  std::int32_t recovery = 1;
  /// Names of images that end at once, and of those that nobody has.
  std::set<std::string> bad_images;
  std::set<std::string> missing_images;
  /// Settings that brokers refuse at run time.
  std::set<std::string> bad_settings;
  /// Pods that no node takes, by number.
  std::set<std::int32_t> unplaced;
  /// The next so many actions are done, and their answers are lost.
  int lost_answers = 0;
  /// A volume claim whose changes the API server refuses.
  std::string refused_volume;
  /// Who answers says that it belongs to another cluster.
  bool other_cluster = false;
  /// Processes of new brokers do not get into the cluster.
  bool no_joins = false;
  /// The image of new brokers does not read its rack.
  bool racks_ignored = false;

  // ---- what is there

  std::map<std::int32_t, Member> members;
  std::map<std::int32_t, Process> processes;
  std::map<std::string, std::string> dynamic_config;
  std::vector<resources::Receipt> receipts;
  bool is_retired(const std::string& directory_id) const;
  /// By uid of the volume claim.
  std::map<std::string, Disk> disks;
  Answers answers;
  std::int64_t moving = 0;
  /// What happened, one line per thing done.
  std::vector<std::string> log;
  /// Rules of World that were broken: data lost, a broker stopped without a permit ...
  std::vector<std::string> broken;
  std::uint64_t writes = 0;

  std::string condition(const std::string& type, const std::string& field) const;
  std::int32_t replicas() const;
  bool is_alive(std::int32_t broker) const { return processes.count(broker) > 0; }
  /// Every broker of the spec serves, runs what it should, and no other is left.
  bool is_as_asked() const;
  /// spec.brokers.
  std::int32_t cluster_brokers() const;

 private:
  bool apply(const Apply& apply);
  bool create(const Create& create);
  bool patch(const Patch& patch);
  bool erase(const Delete& gone);
  bool permit(const AcquirePermit& permit);
  bool drain(const Drain& drain);
  bool decommission(const Decommission& gone);
  bool fail(Answer::Kind kind, std::string sentence);
  void stamp(Json& object);
  bool check_change(const Json& before, const Json& after);
  bool is_known_to_have_begun() const;
  static bool is_ready(const Json& pod);
  void check_pod_deletion(const Json& pod);
  void check_volume_deletion(const Json& volume);
  void check_replicas(const Json& before, const Json& after);

  void run_stateful_set();
  void make_pod(const Json& set, std::int32_t ordinal);
  void end_claims();
  void run_volumes();
  void run_kubelet(const std::string& name, Json& pod);
  void start_broker(std::int32_t broker, Json& pod);
  void stop_broker(std::int32_t broker);
  void run_brokers();
  void end_permits();
  bool found_cluster();
  std::set<std::int32_t> away() const;
  std::string rack_of(const Json& pod) const;
  ClusterView view() const;

  common::Timestamp now_{1'700'000'000'000};
  std::map<std::string, std::map<std::string, Json>> objects_;
  /// What server-side apply knows as ours.
  std::map<std::string, Json> applied_;
  std::set<std::int32_t> stopped_;
  std::uint64_t next_ = 1;
  std::int64_t epoch_ = 0;
  std::string sentence_;
  Answer::Kind kind_ = Answer::Kind::kFailed;
};

/// "2026-..." free text of a plan: one line per action, then conditions that are worth saying.
std::string describe(const Action& action);
std::string describe(const ClusterPlan& plan);

}  // namespace millrace::plan::testing
