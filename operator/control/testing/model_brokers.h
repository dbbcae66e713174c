// ModelBrokers brokers(api, {"shop", "events"}, clock);   FleetOf fleet({{key, &brokers}});
//
// The brokers of one cluster, as a model: they run in the pods of a model of an API server, on the
// volumes of its claims.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "operator/brokers/admin.h"
#include "operator/control/fleet.h"
#include "operator/kube/testing/model_api.h"

namespace millrace::control::testing {

/// Rules that it keeps, as real ones do (docs/operations.md): the cluster begins when the first
/// three are there, and any broker answers for it; a pod's process has its own incarnation and the
/// directory of its claim; a permit is for one process and given only if all others are well and
/// none has one; a drain takes a while; a receipt is given for a drained directory only, the same
/// one again, and a retired directory is never let in.
///
/// Thread-safe. Time passes by tick().
class ModelBrokers final : public brokers::Admin {
 public:
  ModelBrokers(kube::testing::ModelApi& api, kube::ObjectKey cluster, const common::Clock& clock);

  brokers::Answer<brokers::Cluster> cluster() override;
  brokers::Answer<brokers::Configs> dynamic_defaults() override;
  brokers::Answer<void> alter_defaults(const brokers::Configs& set,
                                       const std::vector<std::string>& remove) override;
  brokers::Answer<brokers::PermitAnswer> acquire_permit(
      const brokers::PermitRequest& request) override;
  brokers::Answer<void> release_permit(std::int32_t broker) override;
  brokers::Answer<brokers::DrainAnswer> drain(std::int32_t broker) override;
  brokers::Answer<void> cancel_drain(std::int32_t broker) override;
  brokers::Answer<brokers::Receipt> decommission(std::int32_t broker,
                                                 const std::string& directory_id) override;
  brokers::Answer<std::vector<brokers::Topic>> topics() override;
  brokers::Answer<std::map<std::string, brokers::TopicTrouble>> unwell_topics() override;
  brokers::Answer<std::vector<brokers::Answer<brokers::Topic>>> create_topics(
      const std::vector<brokers::NewTopic>& topics) override;
  brokers::Answer<void> add_partitions(const std::string& topic, std::int32_t partitions) override;
  brokers::Answer<void> alter_topic(const std::string& topic, const brokers::Configs& set,
                                    const std::vector<std::string>& remove) override;
  brokers::Answer<void> delete_topic(const std::string& topic_id) override;

  /// Brokers notice which pods run, drains go on by one replica.
  void tick();

  /// Every call comes here first; an error is the answer, and nothing happens.
  using Gate = std::function<std::optional<brokers::BrokerError>(const std::string& method)>;
  void set_gate(Gate gate);
  /// The next `calls` are done and their answers are lost.
  void lose_answers(int calls);
  /// Without majority, for tests that need topics alone.
  void form_alone(std::int32_t brokers);

  // ---- what happened
  std::uint64_t calls(const std::string& method) const;
  /// Rules broken by those who asked: a process that ended without a permit while the others were
  /// not all well, a directory that vanished without a receipt.
  std::vector<std::string> offences() const;
  std::map<std::string, brokers::Topic> all_topics() const;
  /// As somebody else does it.
  /// One of the topic's partitions has no leader, or has one again.
  void set_offline(const std::string& name, bool offline);
  void change_topic(const std::string& name, const std::function<void(brokers::Topic&)>& change);
  std::set<std::string> receipts() const;

 private:
  struct Member {
    brokers::Broker broker;
    std::int64_t epoch = 0;
    std::string claim_uid;
  };
  std::optional<brokers::BrokerError> enter(const std::string& method);
  /// After the deed: an error if its answer is lost.
  std::optional<brokers::BrokerError> leave();
  void notice_pods();
  void notice_pod(const kube::Json& pod, std::int32_t broker);
  void notice_end(Member& member);
  Member* find(std::int32_t broker);
  bool others_are_well(std::int32_t broker) const;

  kube::testing::ModelApi& api_;
  const kube::ObjectKey key_;
  const common::Clock& clock_;
  mutable std::mutex mutex_;  // guards what follows
  Gate gate_;
  int lost_answers_ = 0;
  bool formed_ = false;
  std::string cluster_id_;  // as the pods were told when the first ones came together
  bool alone_ = false;
  std::map<std::int32_t, Member> members_;
  std::map<std::string, std::string> directories_;    // claim uid -> directory
  std::map<std::string, brokers::Receipt> receipts_;  // by directory
  brokers::Configs defaults_;
  std::map<std::string, brokers::Topic> topics_;
  std::set<std::string> offline_;
  std::int64_t next_id_ = 1;
  std::map<std::string, std::uint64_t> calls_;
  std::vector<std::string> offences_;
};

/// Leads to models instead of pods.
class FleetOf final : public Fleet {
 public:
  explicit FleetOf(std::map<kube::ObjectKey, std::shared_ptr<brokers::Admin>> admins)
      : admins_(std::move(admins)) {}
  std::shared_ptr<brokers::Admin> admin(const kube::ObjectKey& cluster,
                                        std::vector<std::string>) override {
    const auto found = admins_.find(cluster);
    return found == admins_.end() ? std::make_shared<brokers::GrpcAdmin>(std::vector<std::string>{})
                                  : found->second;
  }
  void forget(const kube::ObjectKey&) override {}

 private:
  const std::map<kube::ObjectKey, std::shared_ptr<brokers::Admin>> admins_;
};

}  // namespace millrace::control::testing
