#include "broker/service/shard.h"

#include <algorithm>
#include <utility>

#include "broker/service/group_coordinators.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/offsets_topic.h"
#include "common/check.h"

namespace millrace::service {

using model::ErrorCode;

namespace {

constexpr std::int32_t kProducerIdsPerBlock = 1000;

}  // namespace

std::uint32_t shard_of(const model::PartitionKey& key, std::uint32_t shards) {
  CHECK(shards > 0);
  // The metadata log is written by the first shard, whatever its hash.
  if (key.topic == model::kMetadataTopicId) return 0;
  // Partitions of one topic go round the shards, so that a topic's load is even however few
  // partitions it has.
  const std::uint64_t topic = std::hash<common::Uuid>{}(key.topic);
  return static_cast<std::uint32_t>((topic + static_cast<std::uint64_t>(key.index.value())) %
                                    shards);
}

Shard::Shard(Parts parts)
    : index_(parts.index),
      loop_(parts.loop),
      disk_(parts.disk),
      random_(parts.random),
      store_(std::move(parts.store)),
      identity_(std::move(parts.identity)),
      start_config_(std::move(parts.start_config)),
      log_(std::move(parts.log)) {
  CHECK(store_ != nullptr && identity_ != nullptr && start_config_ != nullptr);
  settings_ = model::resolve_broker_settings(layers());
  coordinators_ = std::make_unique<GroupCoordinators>(*this);
}

Shard::~Shard() {
  close();
}

model::BrokerLayers Shard::layers() const {
  return {.dynamic_broker = &image_.broker_config(identity_->node),
          .dynamic_default = &image_.cluster_config(),
          .from_start = start_config_.get()};
}

replica::Partition* Shard::partition(const model::PartitionKey& key) {
  const auto found = partitions_.find(key);
  return found == partitions_.end() ? nullptr : found->second.get();
}

Shard& Shard::owner(const model::PartitionKey& key) {
  return *peers_[shard_of(key, static_cast<std::uint32_t>(peers_.size()))];
}

void Shard::apply(const metadata::Record& record) {
  // What a deletion takes away must be looked up before the image forgets it.
  std::shared_ptr<const metadata::Topic> deleted;
  if (const auto* gone = std::get_if<metadata::TopicDeleted>(&record))
    deleted = image_.topic(gone->topic);
  if (!image_.apply(record)) return;
  coordinators_->image_changed(record);
  if (deleted != nullptr) close_partitions(*deleted);
  if (const auto* created = std::get_if<metadata::TopicCreated>(&record)) {
    const auto topic = image_.topic(created->id);
    for (std::int32_t i = 0; i < topic->partition_count(); ++i)
      open_partition(*topic, model::PartitionIndex{i});
  } else if (const auto* added = std::get_if<metadata::PartitionsAdded>(&record)) {
    const auto topic = image_.topic(added->topic);
    for (std::int32_t i = added->first; i < topic->partition_count(); ++i) {
      open_partition(*topic, model::PartitionIndex{i});
    }
  } else if (const auto* set = std::get_if<metadata::TopicConfigSet>(&record)) {
    refresh_settings(*image_.topic(set->topic));
  } else if (std::holds_alternative<metadata::BrokerConfigSet>(record)) {
    refresh_all_settings();
  } else if (std::holds_alternative<metadata::ResourceConfigSet>(record)) {
    refresh_subscriptions();
  }
}

void Shard::open_partition(const metadata::Topic& topic, model::PartitionIndex index) {
  const model::PartitionKey key{topic.id, index};
  if (&owner(key) != this || partitions_.contains(key)) return;
  const model::TopicSettings settings = model::resolve_topic_settings(topic.configs, layers());
  storage::Log* log = store_->find(key);
  if (log == nullptr) {
    log = &store_->create(key, topic.name, replica::log_settings(settings));
  } else {
    log->set_settings(replica::log_settings(settings));
  }
  auto partition = std::make_unique<replica::Partition>(*log, settings, clock());
  partition->set_producer_expiration_ms(settings_.producer_id_expiration_ms);
  replica::Partition& opened = *partitions_.emplace(key, std::move(partition)).first->second;
  if (topic.name == kOffsetsTopic) coordinators_->lead(opened);
}

void Shard::open_partitions() {
  refresh_all_settings();
  refresh_subscriptions();
  for (const auto& [name, topic] : image_.topics()) {
    for (std::int32_t i = 0; i < topic->partition_count(); ++i)
      open_partition(*topic, model::PartitionIndex{i});
  }
  for (storage::Log* log : store_->logs()) {
    const model::PartitionKey key = log->key();
    const bool known = key.topic == model::kMetadataTopicId || partitions_.contains(key) ||
                       image_.removing().contains(key.topic);
    // Nothing is deleted without a committed record that says so: what nobody knows is set aside.
    if (!known) store_->quarantine(key, [](common::Result<void>) {});
  }
}

void Shard::close_partitions(const metadata::Topic& topic) {
  for (std::int32_t i = 0; i < topic.partition_count(); ++i) {
    const auto found = partitions_.find({topic.id, model::PartitionIndex{i}});
    if (found == partitions_.end()) continue;
    if (topic.name == kOffsetsTopic)
      coordinators_->resign(model::PartitionIndex{i}, ErrorCode::kNotCoordinator);
    found->second->close(ErrorCode::kUnknownTopicOrPartition);
    partitions_.erase(found);
  }
}

void Shard::remove_logs(const model::TopicId& topic, common::Reply<common::Result<void>> done) {
  struct Removal {
    std::size_t missing = 1;
    common::Result<void> outcome;
    common::Reply<common::Result<void>> done;
    void arrived(common::Result<void> one) {
      if (!one.ok()) outcome = std::move(one);
      if (--missing == 0) done(std::move(outcome));
    }
  };
  auto removal = std::make_shared<Removal>();
  removal->done = std::move(done);
  for (storage::Log* log : store_->logs()) {
    if (log->key().topic != topic) continue;
    CHECK(!partitions_.contains(log->key()), "a live partition's log is to be removed");
    ++removal->missing;
    store_->remove(log->key(), [removal](common::Result<void> removed) {
      removal->arrived(std::move(removed));
    });
  }
  removal->arrived(common::ok());
}

void Shard::refresh_settings(const metadata::Topic& topic) {
  const model::TopicSettings settings = model::resolve_topic_settings(topic.configs, layers());
  for (std::int32_t i = 0; i < topic.partition_count(); ++i) {
    if (replica::Partition* found = partition({topic.id, model::PartitionIndex{i}})) {
      found->set_settings(settings);
      found->set_producer_expiration_ms(settings_.producer_id_expiration_ms);
    }
  }
}

void Shard::refresh_all_settings() {
  settings_ = model::resolve_broker_settings(layers());
  for (const auto& [name, topic] : image_.topics()) refresh_settings(*topic);
}

void Shard::refresh_subscriptions() {
  std::vector<telemetry::Subscription> subscriptions;
  for (const auto& [name, configs] :
       image_.resource_configs(metadata::ResourceKind::kClientMetrics)) {
    // One that only a newer version can read wants nothing here.
    if (auto subscription = telemetry::Subscription::from(configs); subscription.ok())
      subscriptions.push_back(std::move(*subscription));
  }
  telemetry_.set_subscriptions(std::move(subscriptions));
}

void Shard::next_producer_id(common::Reply<common::Result<model::ProducerId>> done) {
  if (producer_ids_.next < producer_ids_.end) return done(model::ProducerId{producer_ids_.next++});
  producer_ids_.waiting.push_back(std::move(done));
  if (producer_ids_.asking) return;
  producer_ids_.asking = true;
  MetadataWriter::decide_on<metadata::ProducerIdBlock>(
      *this,
      [](const metadata::Image& image) {
        return metadata::decide(image,
                                metadata::AllocateProducerIds{.count = kProducerIdsPerBlock});
      },
      [this](common::Result<metadata::ProducerIdBlock> block) {
        take_producer_ids(std::move(block));
      });
}

void Shard::take_producer_ids(common::Result<metadata::ProducerIdBlock> block) {
  producer_ids_.asking = false;
  auto waiting = std::exchange(producer_ids_.waiting, {});
  if (!block.ok()) {
    for (auto& reply : waiting) reply(block.error());
    return;
  }
  producer_ids_.next = block->first.value();
  producer_ids_.end = producer_ids_.next + block->count;
  // More may wait than one block holds: those ask again.
  for (auto& reply : waiting) next_producer_id(std::move(reply));
}

void Shard::close() {
  coordinators_->close(ErrorCode::kCoordinatorNotAvailable);
  for (auto& [key, partition] : partitions_) partition->close(ErrorCode::kShuttingDown);
  auto waiting = std::exchange(producer_ids_.waiting, {});
  for (auto& reply : waiting) reply(model::error(ErrorCode::kShuttingDown));
}

}  // namespace millrace::service
