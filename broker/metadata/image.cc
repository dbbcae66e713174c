#include "broker/metadata/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/model/topic_name.h"
#include "common/check.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::TopicId;

const model::ConfigMap kNoConfigs;
const Image::ResourceConfigs kNoResources;

void set_or_erase(model::ConfigMap& configs, const std::string& name,
                  const std::optional<std::string>& value) {
  if (value) {
    configs[name] = *value;
  } else {
    configs.erase(name);
  }
}

bool all_have_replicas(const std::vector<Replicas>& partitions) {
  return !partitions.empty() &&
         std::none_of(partitions.begin(), partitions.end(),
                      [](const Replicas& replicas) { return replicas.empty(); });
}

}  // namespace

bool Image::apply(const Record& record) {
  if (level_of(record) > feature_level_) {
    return reject(fmt::format("{}: needs feature level {}, and {} is finalized", describe(record),
                              level_of(record), feature_level_));
  }
  if (auto rejection = std::visit([this](const auto& one) { return on(one); }, record)) {
    return reject(fmt::format("{}: {}", describe(record), *rejection));
  }
  DCHECK(by_name_.size() == by_id_.size());
  return true;
}

bool Image::apply_bytes(common::ByteView value) {
  const auto record = decode(value);
  if (!record.ok()) return reject(record.error().detail);
  return apply(*record);
}

bool Image::reject(std::string why) {
  ++rejected_;
  last_rejection_ = std::move(why);
  return false;
}

Image::Rejection Image::on(const BrokerRegistered& record) {
  if (record.broker.id < BrokerId{0}) return "a broker id is negative";
  if (record.broker.shards < 1) return "a broker has no shards";
  if (receipts_.contains(record.broker.directory)) return "the directory was decommissioned";
  brokers_[record.broker.id] = record.broker;
  return std::nullopt;
}

Image::Rejection Image::on(const BrokerGone& record) {
  if (brokers_.erase(record.broker) == 0) return "no such broker";
  states_.erase(record.broker);
  permits_.erase(record.broker);
  return std::nullopt;
}

Image::Rejection Image::on(const TopicCreated& record) {
  if (record.id.is_zero() || record.id == model::kMetadataTopicId) return "the id is reserved";
  if (!model::check_topic_name(record.name).ok()) return "the name is not allowed";
  if (by_name_.contains(record.name)) return "a topic of this name is there";
  if (by_id_.contains(record.id) || removing_.contains(record.id))
    return "a topic of this id is there";
  if (!all_have_replicas(record.partitions)) return "a partition has no replica";
  Topic topic{.id = record.id,
              .name = record.name,
              .partitions = record.partitions,
              .assignments = {},
              .configs = record.configs};
  for (const Replicas& replicas : record.partitions) {
    PartitionAssignment& assignment = topic.assignments.emplace_back(resolved(replicas));
    assignment.by_hand = record.by_hand && feature_level_ >= kClusterLevel;
    count_partition(assignment, 1);
  }
  put(std::make_shared<const Topic>(std::move(topic)));
  by_collision_form_[model::collision_form(record.name)].insert(record.name);
  return std::nullopt;
}

Image::Rejection Image::on(const PartitionsAdded& record) {
  const auto old = topic(record.topic);
  if (old == nullptr) return "no such topic";
  if (record.first != old->partition_count())
    return "the partitions do not follow those that are there";
  if (!all_have_replicas(record.partitions)) return "a partition has no replica";
  Topic grown = *old;
  grown.partitions.insert(grown.partitions.end(), record.partitions.begin(),
                          record.partitions.end());
  for (const Replicas& replicas : record.partitions) {
    PartitionAssignment& assignment = grown.assignments.emplace_back(resolved(replicas));
    assignment.by_hand = record.by_hand && feature_level_ >= kClusterLevel;
    count_partition(assignment, 1);
  }
  put(std::make_shared<const Topic>(std::move(grown)));
  return std::nullopt;
}

Image::Rejection Image::on(const TopicConfigSet& record) {
  const auto old = topic(record.topic);
  if (old == nullptr) return "no such topic";
  if (record.name.empty()) return "the setting has no name";
  Topic altered = *old;
  set_or_erase(altered.configs, record.name, record.value);
  put(std::make_shared<const Topic>(std::move(altered)));
  return std::nullopt;
}

Image::Rejection Image::on(const TopicDeleted& record) {
  const auto old = topic(record.topic);
  if (old == nullptr) return "no such topic";
  RemovingTopic removing{.name = old->name, .waiting_for = {}};
  for (const PartitionAssignment& assignment : old->assignments) {
    for (const Replica& replica : assignment.replicas) removing.waiting_for.insert(replica.broker);
    for (const Replica& replica : assignment.target) removing.waiting_for.insert(replica.broker);
  }
  CHECK(!removing.waiting_for.empty(), "topic {} had no replicas", old->name);
  removing_.emplace(old->id, std::move(removing));
  for (const PartitionAssignment& assignment : old->assignments) count_partition(assignment, -1);
  const auto form = by_collision_form_.find(model::collision_form(old->name));
  CHECK(form != by_collision_form_.end());
  form->second.erase(old->name);
  if (form->second.empty()) by_collision_form_.erase(form);
  by_id_.erase(old->id);
  by_name_.erase(old->name);
  return std::nullopt;
}

Image::Rejection Image::on(const TopicRemoving& record) {
  if (by_id_.contains(record.topic) || removing_.contains(record.topic))
    return "a topic of this id is there";
  if (record.waiting_for.empty()) return "no broker holds it";
  removing_.emplace(record.topic, RemovingTopic{.name = record.name,
                                                .waiting_for = {record.waiting_for.begin(),
                                                                record.waiting_for.end()}});
  return std::nullopt;
}

Image::Rejection Image::on(const TopicRemoved& record) {
  const auto found = removing_.find(record.topic);
  if (found == removing_.end()) return "no such topic is being removed";
  if (found->second.waiting_for.erase(record.broker) == 0) return "this broker was not waited for";
  if (found->second.waiting_for.empty()) removing_.erase(found);
  return std::nullopt;
}

Image::Rejection Image::on(const BrokerConfigSet& record) {
  if (record.name.empty()) return "the setting has no name";
  if (!record.broker) {
    set_or_erase(cluster_config_, record.name, record.value);
    return std::nullopt;
  }
  model::ConfigMap& configs = broker_configs_[*record.broker];
  set_or_erase(configs, record.name, record.value);
  if (configs.empty()) broker_configs_.erase(*record.broker);
  return std::nullopt;
}

Image::Rejection Image::on(const ProducerIdsAllocated& record) {
  if (record.next <= next_producer_id_) return "these producer ids were given away before";
  next_producer_id_ = record.next;
  return std::nullopt;
}

Image::Rejection Image::on(const ResourceConfigSet& record) {
  if (record.kind != ResourceKind::kClientMetrics && record.kind != ResourceKind::kGroup)
    return "the kind of resource is not known";
  if (record.resource.empty()) return "the resource has no name";
  if (record.name.empty()) return "the setting has no name";
  ResourceConfigs& resources = resource_configs_[record.kind];
  model::ConfigMap& configs = resources[record.resource];
  set_or_erase(configs, record.name, record.value);
  if (configs.empty()) resources.erase(record.resource);
  if (resources.empty()) resource_configs_.erase(record.kind);
  return std::nullopt;
}

void Image::put(std::shared_ptr<const Topic> topic) {
  by_id_[topic->id] = topic;
  by_name_[topic->name] = std::move(topic);
}

std::shared_ptr<const Topic> Image::topic(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::shared_ptr<const Topic> Image::topic(const TopicId& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::shared_ptr<const Topic> Image::colliding_topic(std::string_view name) const {
  const auto form = by_collision_form_.find(model::collision_form(name));
  if (form == by_collision_form_.end()) return nullptr;
  for (const std::string& other : form->second) {
    if (other != name) return topic(other);
  }
  return nullptr;
}

const model::ConfigMap& Image::broker_config(BrokerId broker) const {
  const auto found = broker_configs_.find(broker);
  return found == broker_configs_.end() ? kNoConfigs : found->second;
}

const Image::ResourceConfigs& Image::resource_configs(ResourceKind kind) const {
  const auto found = resource_configs_.find(kind);
  return found == resource_configs_.end() ? kNoResources : found->second;
}

std::vector<Record> Image::snapshot() const {
  std::vector<Record> records;
  records.reserve(2 + brokers_.size() + by_name_.size() + removing_.size());
  if (feature_level_ != 0) records.emplace_back(FeatureLevelSet{feature_level_});
  for (const auto& [id, broker] : brokers_) records.emplace_back(BrokerRegistered{broker});
  for (const auto& [id, state] : states_) records.emplace_back(BrokerStateSet{id, state});
  for (const auto& [directory, receipt] : receipts_)
    records.emplace_back(BrokerDecommissioned{receipt.broker, directory, receipt.epoch});
  for (const auto& [id, permit] : permits_)
    records.emplace_back(
        PermitGranted{id, permit.incarnation, permit.expires_at_ms, permit.lasts_ms});
  for (const auto& [name, value] : cluster_config_)
    records.emplace_back(BrokerConfigSet{std::nullopt, name, value});
  for (const auto& [broker, configs] : broker_configs_) {
    for (const auto& [name, value] : configs)
      records.emplace_back(BrokerConfigSet{broker, name, value});
  }
  for (const auto& [kind, resources] : resource_configs_) {
    for (const auto& [resource, configs] : resources) {
      for (const auto& [name, value] : configs)
        records.emplace_back(ResourceConfigSet{kind, resource, name, value});
    }
  }
  for (const auto& [name, topic] : by_name_) {
    records.emplace_back(TopicCreated{topic->id, topic->name, topic->partitions, topic->configs});
    if (feature_level_ < kClusterLevel) continue;
    for (std::int32_t index = 0; index < topic->partition_count(); ++index) {
      const auto at = static_cast<std::size_t>(index);
      const PartitionAssignment& assignment = topic->assignments[at];
      if (assignment == resolved(topic->partitions[at])) continue;
      records.emplace_back(AssignmentSet{.partition = {topic->id, model::PartitionIndex{index}},
                                         .replicas = assignment.replicas,
                                         .target = assignment.target,
                                         .by_hand = assignment.by_hand,
                                         .target_by_hand = assignment.target_by_hand,
                                         .moved = assignment.moved});
    }
  }
  for (const auto& [id, removing] : removing_) {
    records.emplace_back(TopicRemoving{
        id, removing.name, {removing.waiting_for.begin(), removing.waiting_for.end()}});
  }
  if (next_producer_id_ > model::ProducerId{0})
    records.emplace_back(ProducerIdsAllocated{next_producer_id_});
  return records;
}

bool Image::operator==(const Image& other) const {
  const auto same_topic = [](const auto& a, const auto& b) {
    return a.first == b.first && *a.second == *b.second;
  };
  return std::equal(by_name_.begin(), by_name_.end(), other.by_name_.begin(), other.by_name_.end(),
                    same_topic) &&
         removing_ == other.removing_ && brokers_ == other.brokers_ &&
         broker_configs_ == other.broker_configs_ && cluster_config_ == other.cluster_config_ &&
         resource_configs_ == other.resource_configs_ && replicas_on_ == other.replicas_on_ &&
         leads_on_ == other.leads_on_ && states_ == other.states_ && receipts_ == other.receipts_ &&
         permits_ == other.permits_ && partition_total_ == other.partition_total_ &&
         moving_total_ == other.moving_total_ && next_producer_id_ == other.next_producer_id_ &&
         feature_level_ == other.feature_level_;
}

}  // namespace millrace::metadata
