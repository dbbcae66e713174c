#include "operator/control/testing/model_brokers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/resources/names.h"

namespace millrace::control::testing {
namespace {

using brokers::Answer;
using brokers::BrokerError;
using brokers::BrokerState;
using brokers::Trouble;

constexpr std::int32_t kFounders = 3;
constexpr std::int32_t kReplicasEach = 3;

BrokerError refused(std::string sentence) {
  return {.trouble = Trouble::kRefused, .detail = std::move(sentence), .code = "POLICY_VIOLATION"};
}
BrokerError unknown(std::string sentence) {
  return {
      .trouble = Trouble::kNotFound, .detail = std::move(sentence), .code = "RESOURCE_NOT_FOUND"};
}

bool is_ready(const kube::Json& pod) {
  const auto* const conditions = kube::find(pod, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return false;
  return std::any_of(conditions->begin(), conditions->end(), [](const kube::Json& condition) {
    return kube::text_at(condition, {"type"}) == "Ready" &&
           kube::text_at(condition, {"status"}) == "True";
  });
}

}  // namespace

ModelBrokers::ModelBrokers(kube::testing::ModelApi& api, kube::ObjectKey cluster,
                           const common::Clock& clock)
    : api_(api), key_(std::move(cluster)), clock_(clock) {}

void ModelBrokers::set_gate(Gate gate) {
  const std::lock_guard lock(mutex_);
  gate_ = std::move(gate);
}

void ModelBrokers::lose_answers(int calls) {
  const std::lock_guard lock(mutex_);
  lost_answers_ = calls;
}

void ModelBrokers::form_alone(std::int32_t brokers) {
  const std::lock_guard lock(mutex_);
  formed_ = alone_ = true;
  for (std::int32_t id = 0; id < brokers; ++id) {
    Member& member = members_[id];
    member.broker.id = id;
    member.broker.alive = member.broker.recovered = true;
    member.broker.directory_id = fmt::format("dir-{}", id);
  }
}

std::optional<BrokerError> ModelBrokers::enter(const std::string& method) {
  ++calls_[method];
  if (gate_) {
    if (auto error = gate_(method)) return error;
  }
  const bool anyone = std::any_of(members_.begin(), members_.end(),
                                  [](const auto& member) { return member.second.broker.alive; });
  if (formed_ && anyone) return std::nullopt;
  return BrokerError{.trouble = Trouble::kUnreachable, .detail = "nobody answers"};
}

std::optional<BrokerError> ModelBrokers::leave() {
  if (lost_answers_ == 0) return std::nullopt;
  --lost_answers_;
  return BrokerError{
      .trouble = Trouble::kUnreachable, .detail = "the answer is lost", .maybe_done = true};
}

ModelBrokers::Member* ModelBrokers::find(std::int32_t broker) {
  const auto found = members_.find(broker);
  return found == members_.end() ? nullptr : &found->second;
}

bool ModelBrokers::others_are_well(std::int32_t broker) const {
  return std::all_of(members_.begin(), members_.end(), [&](const auto& entry) {
    const brokers::Broker& other = entry.second.broker;
    if (other.id == broker) return true;
    const bool may_stop =
        other.permit && other.permit->expires_at_ms > clock_.wall().value() && other.alive;
    return other.alive && other.recovered && !may_stop;
  });
}

void ModelBrokers::notice_end(Member& member) {
  brokers::Broker& broker = member.broker;
  const bool permitted = broker.permit && broker.permit->incarnation == broker.incarnation &&
                         broker.permit->expires_at_ms > clock_.wall().value();
  const bool leaves = broker.state == BrokerState::kDrained;
  if (!permitted && !leaves && members_.size() >= kFounders && !others_are_well(broker.id))
    offences_.push_back(fmt::format("broker {} ended while others were not well", broker.id));
  broker.alive = broker.recovered = false;
  broker.incarnation.clear();
}

void ModelBrokers::notice_pod(const kube::Json& pod, std::int32_t id) {
  const std::string incarnation = kube::text_at(pod, {"metadata", "uid"});
  const auto claim =
      api_.get(kube::kVolumeClaims, {key_.space, resources::names::volume(key_.name, id)});
  if (!claim.ok()) return;
  const std::string claim_uid = kube::text_at(*claim, {"metadata", "uid"});
  std::string& directory = directories_[claim_uid];
  if (directory.empty()) directory = fmt::format("dir{}", next_id_++);
  if (receipts_.contains(directory)) return;
  Member& member = members_[id];
  brokers::Broker& broker = member.broker;
  if (broker.alive && broker.incarnation == incarnation) return;
  if (broker.alive) notice_end(member);
  if (broker.directory_id.empty()) {
    broker.id = id;
    broker.replicas = kReplicasEach;
  }
  broker.directory_id = directory;
  broker.incarnation = incarnation;
  broker.endpoint = fmt::format("{}:{}", resources::names::host(key_.space, key_.name, id),
                                resources::kInternalPort);
  broker.alive = broker.recovered = true;
  broker.permit.reset();
  member.claim_uid = claim_uid;
  ++member.epoch;
}

void ModelBrokers::notice_pods() {
  if (alone_) return;
  kube::ListOptions options;
  options.space = key_.space;
  options.label_selector = "millrace.dev/cluster=" + key_.name;
  const auto pods = api_.list(kube::kPods, options);
  if (!pods.ok()) return;
  std::map<std::int32_t, kube::Json> running;
  for (const kube::Json& pod : pods->items) {
    const auto id = resources::ordinal_of_pod(key_.name, kube::text_at(pod, {"metadata", "name"}));
    if (id && is_ready(pod)) running.emplace(*id, pod);
  }
  for (auto& [id, member] : members_) {
    if (member.broker.alive && !running.contains(id)) notice_end(member);
  }
  if (!formed_) {
    for (std::int32_t id = 0; id < kFounders; ++id)
      if (!running.contains(id)) return;
    formed_ = true;
    const auto set = api_.get(kube::kStatefulSets, key_);
    if (set.ok()) {
      cluster_id_ = kube::text_at(
          *set, {"metadata", "annotations", std::string(resources::kClusterIdAnnotation)});
    }
  }
  for (const auto& [id, pod] : running) notice_pod(pod, id);
}

void ModelBrokers::tick() {
  const std::lock_guard lock(mutex_);
  notice_pods();
  for (auto& [id, member] : members_) {
    brokers::Broker& broker = member.broker;
    if (broker.permit && broker.permit->expires_at_ms <= clock_.wall().value())
      broker.permit.reset();
    if (broker.state != BrokerState::kDraining) continue;
    if (broker.replicas > 0) --broker.replicas;
    if (broker.replicas == 0) broker.state = BrokerState::kDrained;
  }
}

Answer<brokers::Cluster> ModelBrokers::cluster() {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("ClusterHealth")) return *error;
  brokers::Cluster view{.cluster_id = cluster_id_, .health = brokers::Health::kGreen};
  for (const auto& [id, member] : members_) {
    view.brokers.push_back(member.broker);
    if (!member.broker.alive) view.health = brokers::Health::kYellow;
    if (member.broker.alive && view.controller < 0) view.controller = id;
  }
  view.version = "0.1.0";
  return view;
}

Answer<brokers::Configs> ModelBrokers::dynamic_defaults() {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("DescribeConfigs")) return *error;
  return defaults_;
}

Answer<void> ModelBrokers::alter_defaults(const brokers::Configs& set,
                                          const std::vector<std::string>& remove) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("AlterConfigs")) return *error;
  for (const auto& [name, value] : set) {
    if (value == "refused") return refused("Invalid value refused for " + name);
    defaults_[name] = value;
  }
  for (const std::string& name : remove) defaults_.erase(name);
  if (auto error = leave()) return *error;
  return {};
}

Answer<brokers::PermitAnswer> ModelBrokers::acquire_permit(const brokers::PermitRequest& request) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("AcquireRestartPermit")) return *error;
  Member* const member = find(request.broker);
  if (member == nullptr || member->broker.incarnation != request.incarnation)
    return refused("that process is not the one that runs");
  if (!others_are_well(request.broker))
    return brokers::PermitAnswer{.granted = false, .why = "another broker is not well"};
  member->broker.permit =
      brokers::Permit{request.incarnation, clock_.wall().value() + request.lasts_ms};
  if (auto error = leave()) return *error;
  return brokers::PermitAnswer{.granted = true, .permit = *member->broker.permit};
}

Answer<void> ModelBrokers::release_permit(std::int32_t broker) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("ReleaseRestartPermit")) return *error;
  if (Member* const member = find(broker)) member->broker.permit.reset();
  return {};
}

Answer<brokers::DrainAnswer> ModelBrokers::drain(std::int32_t broker) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("DrainBroker")) return *error;
  Member* const member = find(broker);
  if (member == nullptr) return unknown("no such broker");
  const auto stay = std::count_if(members_.begin(), members_.end(), [](const auto& one) {
    return one.second.broker.state == BrokerState::kActive;
  });
  brokers::Broker& one = member->broker;
  if (one.state == BrokerState::kActive) {
    if (stay - 1 < kFounders)
      return refused("the brokers that stay are fewer than a topic has replicas");
    one.state = BrokerState::kDraining;
  }
  if (auto error = leave()) return *error;
  return brokers::DrainAnswer{.state = one.state, .replicas_left = one.replicas, .blockers = {}};
}

Answer<void> ModelBrokers::cancel_drain(std::int32_t broker) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("CancelDrain")) return *error;
  Member* const member = find(broker);
  if (member == nullptr) return unknown("no such broker");
  member->broker.state = BrokerState::kActive;
  member->broker.replicas = std::max(member->broker.replicas, 1);
  if (auto error = leave()) return *error;
  return {};
}

Answer<brokers::Receipt> ModelBrokers::decommission(std::int32_t broker,
                                                    const std::string& directory_id) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("DecommissionBroker")) return *error;
  const auto known = receipts_.find(directory_id);
  if (known != receipts_.end()) return known->second;
  Member* const member = find(broker);
  if (member == nullptr) return unknown("no such broker");
  if (member->broker.directory_id != directory_id) return refused("it has another directory");
  if (member->broker.state != BrokerState::kDrained) return refused("it is not drained");
  const brokers::Receipt receipt{broker, directory_id, member->epoch};
  receipts_[directory_id] = receipt;
  members_.erase(broker);
  if (auto error = leave()) return *error;
  return receipt;
}

Answer<std::vector<brokers::Topic>> ModelBrokers::topics() {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("ListTopics")) return *error;
  std::vector<brokers::Topic> all;
  for (const auto& [name, topic] : topics_) all.push_back(topic);
  return all;
}

Answer<std::map<std::string, brokers::TopicTrouble>> ModelBrokers::unwell_topics() {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("ListPartitions")) return *error;
  std::map<std::string, brokers::TopicTrouble> unwell;
  for (const std::string& name : offline_) unwell[name] = {.offline = 1, .under_replicated = 1};
  return unwell;
}

Answer<std::vector<Answer<brokers::Topic>>> ModelBrokers::create_topics(
    const std::vector<brokers::NewTopic>& wanted) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("CreateTopics")) return *error;
  std::vector<Answer<brokers::Topic>> answers;
  for (const brokers::NewTopic& topic : wanted) {
    if (topics_.contains(topic.name)) {
      answers.push_back(BrokerError{.trouble = Trouble::kExists, .detail = "there is one"});
    } else if (topic.configs.contains("no.such.setting")) {
      answers.push_back(refused("Unknown topic config name: no.such.setting"));
    } else {
      const brokers::Topic made{topic.name, fmt::format("id{}", next_id_++), topic.partitions,
                                topic.replication_factor, topic.configs};
      topics_[topic.name] = made;
      answers.push_back(made);
    }
  }
  if (auto error = leave()) return *error;
  return answers;
}

Answer<void> ModelBrokers::add_partitions(const std::string& topic, std::int32_t partitions) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("CreatePartitions")) return *error;
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return unknown("no such topic");
  if (partitions <= found->second.partitions) return refused("it has as many");
  found->second.partitions = partitions;
  if (auto error = leave()) return *error;
  return {};
}

Answer<void> ModelBrokers::alter_topic(const std::string& topic, const brokers::Configs& set,
                                       const std::vector<std::string>& remove) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("AlterConfigs")) return *error;
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return unknown("no such topic");
  for (const auto& [name, value] : set) {
    if (name == "no.such.setting") return refused("Unknown topic config name: no.such.setting");
    found->second.configs[name] = value;
  }
  for (const std::string& name : remove) found->second.configs.erase(name);
  if (auto error = leave()) return *error;
  return {};
}

Answer<void> ModelBrokers::delete_topic(const std::string& topic_id) {
  const std::lock_guard lock(mutex_);
  if (auto error = enter("DeleteTopic")) return *error;
  const auto found = std::find_if(topics_.begin(), topics_.end(),
                                  [&](const auto& topic) { return topic.second.id == topic_id; });
  if (found == topics_.end()) return unknown("no such topic");
  topics_.erase(found);
  if (auto error = leave()) return *error;
  return {};
}

std::uint64_t ModelBrokers::calls(const std::string& method) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(method);
  return found == calls_.end() ? 0 : found->second;
}

std::vector<std::string> ModelBrokers::offences() const {
  const std::lock_guard lock(mutex_);
  return offences_;
}

std::map<std::string, brokers::Topic> ModelBrokers::all_topics() const {
  const std::lock_guard lock(mutex_);
  return topics_;
}

void ModelBrokers::change_topic(const std::string& name,
                                const std::function<void(brokers::Topic&)>& change) {
  const std::lock_guard lock(mutex_);
  change(topics_.at(name));
}

void ModelBrokers::set_offline(const std::string& name, bool offline) {
  const std::lock_guard lock(mutex_);
  if (offline) {
    offline_.insert(name);
  } else {
    offline_.erase(name);
  }
}

std::set<std::string> ModelBrokers::receipts() const {
  const std::lock_guard lock(mutex_);
  std::set<std::string> directories;
  for (const auto& [directory, receipt] : receipts_) directories.insert(directory);
  return directories;
}

}  // namespace millrace::control::testing
