#include "broker/service/shard.h"

#include <algorithm>
#include <utility>

#include "broker/model/cluster_settings.h"
#include "broker/model/mutation.h"
#include "broker/replica/retirement.h"
#include "broker/service/announcer.h"
#include "broker/service/append_waits.h"
#include "broker/service/assignments.h"
#include "broker/service/calls.h"
#include "broker/service/departures.h"
#include "broker/service/fetch_anywhere.h"
#include "broker/service/first_elections.h"
#include "broker/service/group_coordinators.h"
#include "broker/service/group_report.h"
#include "broker/service/groups_anywhere.h"
#include "broker/service/hand_over.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/mover.h"
#include "broker/service/neighbours.h"
#include "broker/service/offsets_anywhere.h"
#include "broker/service/offsets_topic.h"
#include "broker/service/partition_facts.h"
#include "broker/service/partition_recovery.h"
#include "broker/service/produce_anywhere.h"
#include "broker/service/role_waits.h"
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
      log_(std::move(parts.log)),
      tell_(std::move(parts.tell)),
      raft_(parts.raft) {
  CHECK(store_ != nullptr && identity_ != nullptr && start_config_ != nullptr);
  settings_ = model::resolve_broker_settings(layers());
  calls_ = std::make_unique<Calls>();
  append_waits_ = std::make_unique<AppendWaits>(loop_);
  replicas_ = std::make_unique<Replicas>(Replicas::Parts{
      .loop = loop_,
      .random = random_,
      .self = self_replica(),
      .raft = raft_,
      .on_role = [this](const model::PartitionKey& key,
                        const raft::RoleChange& change) { role_changed(key, change); },
      .note = [this](std::string_view line) { note(line); }});
  role_waits_ = std::make_unique<RoleWaits>(loop_);
  announcer_ = std::make_unique<Announcer>(*this);
  mover_ = std::make_unique<Mover>(*this);
  first_elections_ = std::make_unique<FirstElections>(*this);
  departures_ = std::make_unique<Departures>(*this);
  serve_transfers(*this);
  serve_group_reports(*this);
  serve_partition_facts(*this);
  serve_recovery(*this);
  serve_produce(*this);
  serve_fetch(*this);
  serve_offsets(*this);
  serve_members(*this);
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

void Shard::set_neighbours(Neighbours* neighbours) {
  neighbours_ = neighbours;
  replicas_->set_neighbours(neighbours);
}

bool Shard::alive(model::BrokerId node) const {
  return node == identity_->node || (neighbours_ != nullptr && neighbours_->alive(node));
}

replica::Beginning Shard::beginning() const {
  return {.first_voters = replica::sole_voter(self_replica()),
          .after_clean_stop = store_->recovery().closed_cleanly};
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
  partitions_changed(record);
  if (const auto* set = std::get_if<metadata::TopicConfigSet>(&record)) {
    refresh_settings(*image_.topic(set->topic));
  } else if (std::holds_alternative<metadata::BrokerConfigSet>(record)) {
    refresh_all_settings();
  } else if (std::holds_alternative<metadata::ResourceConfigSet>(record)) {
    refresh_subscriptions();
  }
}

// ---- Replicas come and go

void Shard::partitions_changed(const metadata::Record& record) {
  if (const auto* created = std::get_if<metadata::TopicCreated>(&record)) {
    const auto topic = image_.topic(created->id);
    for (std::int32_t i = 0; i < topic->partition_count(); ++i)
      open_partition(*topic, model::PartitionIndex{i}, Birth::kNow);
  } else if (const auto* added = std::get_if<metadata::PartitionsAdded>(&record)) {
    const auto topic = image_.topic(added->topic);
    for (std::int32_t i = added->first; i < topic->partition_count(); ++i)
      open_partition(*topic, model::PartitionIndex{i}, Birth::kNow);
  } else if (const auto* started = std::get_if<metadata::MoveStarted>(&record)) {
    assignment_changed(started->partition);
  } else if (const auto* cancelled = std::get_if<metadata::MoveCancelled>(&record)) {
    assignment_changed(cancelled->partition);
  } else if (const auto* completed = std::get_if<metadata::MoveCompleted>(&record)) {
    // The partition's voters are the target: whoever else is left is none of them. But after a
    // restart the record may be read again, and the replica have come back since: who still calls
    // itself a member asks first.
    const model::PartitionKey& key = completed->partition;
    const replica::Partition* const here = partition(key);
    const bool member = here != nullptr && here->group() != nullptr &&
                        here->group()->config().is_member(self_replica());
    if (names(*image_.assignment(key), self_replica())) {
      // It stays.
    } else if (member) {
      departures_->watch(key);
    } else {
      retire_partition(key);
    }
  }
  mover_->image_changed(record);
}

void Shard::assignment_changed(const model::PartitionKey& key) {
  if (names(*image_.assignment(key), self_replica())) {
    open_partition(*image_.topic(key.topic), key.index, Birth::kEarlier);
  } else if (partition(key) != nullptr) {
    // It may have become a voter meanwhile, and stays until its group does without it.
    departures_->watch(key);
  }
}

void Shard::open_partition(const metadata::Topic& topic, model::PartitionIndex index, Birth birth) {
  const model::PartitionKey key{topic.id, index};
  if (&owner(key) != this || partition(key) != nullptr) return;
  const metadata::PartitionAssignment& assignment = *image_.assignment(key);
  const raft::ReplicaId self = self_replica();
  if (!names(assignment, self)) return;
  if (const storage::Log* const log = store_->find(key);
      image_may_be_old_ && (log == nullptr || log->state().empty() || replica::is_retired(*log)))
    return;
  const raft::VoterSet first = first_voters(image_, assignment, self);
  open_replica(topic, key, first);
  const bool preferred = assignment.replicas.front().broker == self.node;
  if (birth == Birth::kNow && preferred && first.voters.size() > 1) first_elections_->stand(key);
}

void Shard::open_replica(const metadata::Topic& topic, const model::PartitionKey& key,
                         const raft::VoterSet& first) {
  const model::TopicSettings settings = model::resolve_topic_settings(topic.configs, layers());
  storage::Log* log = store_->find(key);
  if (log == nullptr) {
    log = &store_->create(key, topic.name, replica::log_settings(settings));
  } else {
    log->set_settings(replica::log_settings(settings));
  }
  replica::Partition& opened = replicas_->open(
      *log, settings,
      {.first_voters = first, .after_clean_stop = store_->recovery().closed_cleanly});
  opened.set_producer_expiration_ms(settings_.producer_id_expiration_ms);
}

void Shard::take_image(metadata::Image image) {
  const metadata::Image before = std::exchange(image_, std::move(image));
  if (!open_) return;
  for (const auto& [name, topic] : before.topics()) {
    if (image_.topic(topic->id) == nullptr) close_partitions(*topic);
  }
  refresh_all_settings();
  refresh_subscriptions();
  open_all();
  coordinators_->image_replaced();
}

void Shard::open_partitions() {
  open_ = true;
  refresh_all_settings();
  refresh_subscriptions();
  open_all();
  for (storage::Log* log : store_->logs()) {
    // One that is not named any more may still be a voter of its group, which then needs it.
    const model::PartitionKey key = log->key();
    if (image_.assignment(key) == nullptr || partition(key) != nullptr || log->state().empty() ||
        replica::is_retired(*log))
      continue;
    open_replica(*image_.topic(key.topic), key, {});
    departures_->watch(key);
  }
}

void Shard::image_is_newest() {
  if (std::exchange(image_may_be_old_, false) && open_) open_all();
}

void Shard::open_all() {
  const raft::ReplicaId self = self_replica();
  for (const auto& [name, topic] : image_.topics()) {
    for (std::int32_t i = 0; i < topic->partition_count(); ++i) {
      const model::PartitionIndex index{i};
      open_partition(*topic, index, Birth::kEarlier);
      const model::PartitionKey key{topic->id, index};
      const replica::Partition* const here = partition(key);
      if (here == nullptr) continue;
      if (!names(*image_.assignment(key), self)) departures_->watch(key);
      if (here->is_leader()) mover_->look_at(key);
    }
  }
}

void Shard::set_aside_unknown() {
  for (storage::Log* log : store_->logs()) {
    const model::PartitionKey key = log->key();
    const bool known = key.topic == model::kMetadataTopicId || partition(key) != nullptr ||
                       image_.removing().contains(key.topic);
    if (known) continue;
    if (replica::is_retired(*log)) {
      if (image_.topic(key.topic) == nullptr) forget_retired(key.topic);
      continue;
    }
    // Nothing is deleted without a committed record that says so: what nobody knows is set aside.
    store_->quarantine(key, [](common::Result<void>) {});
  }
}

/// Nobody will speak in the name of a deleted topic's replicas again.
void Shard::forget_retired(const model::TopicId& topic) {
  for (storage::Log* const log : store_->logs()) {
    const model::PartitionKey key = log->key();
    if (key.topic == topic && partition(key) == nullptr && replica::is_retired(*log))
      store_->remove(key, [](common::Result<void>) {});
  }
}

void Shard::let_go(const model::PartitionKey& key, ErrorCode reason) {
  const replica::Partition* const gone = partition(key);
  if (gone == nullptr) return;
  if (gone->log().topic_name() == kOffsetsTopic)
    coordinators_->resign(key.index, ErrorCode::kNotCoordinator);
  replicas_->erase(key, reason);
  departures_->forget(key);
}

void Shard::retire_partition(const model::PartitionKey& key) {
  if (partition(key) == nullptr) return;
  let_go(key, ErrorCode::kNotLeaderOrFollower);
  storage::Log* const log = store_->find(key);
  if (log != nullptr && !replica::retire(*log)) store_->remove(key, [](common::Result<void>) {});
}

void Shard::close_partitions(const metadata::Topic& topic) {
  for (std::int32_t i = 0; i < topic.partition_count(); ++i)
    let_go({topic.id, model::PartitionIndex{i}}, ErrorCode::kUnknownTopicOrPartition);
  forget_retired(topic.id);
  if (neighbours_ != nullptr) neighbours_->forget_topic(topic.id, topic.partition_count());
}

// ---- Leadership

void Shard::role_changed(const model::PartitionKey& key, const raft::RoleChange& change) {
  announcer_->role_changed(key, change);
  if (replica::Partition* const here = partition(key)) follow_leadership(*here, change);
  role_waits_->fire(key);
}

void Shard::follow_leadership(replica::Partition& partition, const raft::RoleChange& change) {
  // A replica that is alone knows what is committed before its group has found that out.
  const bool leads = change.role == raft::Role::kLeader && partition.is_leader() &&
                     partition.term() == change.term;
  if (partition.log().topic_name() == kOffsetsTopic) {
    const model::PartitionIndex index = partition.log().key().index;
    // In another term somebody else may have led in between.
    if (!leads || !change.confirmed) coordinators_->resign(index, ErrorCode::kNotCoordinator);
    if (leads && coordinators_->find(index) == nullptr) coordinators_->lead(partition);
  }
  if (leads) mover_->look_at(partition.log().key());
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
    CHECK(partition(log->key()) == nullptr, "a live partition's log is to be removed");
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
  mover_->set_rate(model::resolve_cluster_settings(layers()).move_bytes_per_second_max);
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
  if (model::mutated(model::Mutation::kReuseProducerIds) &&
      producer_ids_.next >= producer_ids_.end) {
    producer_ids_.next = image_.next_producer_id().value();
    producer_ids_.end = producer_ids_.next + kProducerIdsPerBlock;
  }
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
  mover_->stop();
  announcer_->stop();
  first_elections_->stop();
  departures_->stop();
  replicas_->close(ErrorCode::kShuttingDown);
  role_waits_->close();
  auto waiting = std::exchange(producer_ids_.waiting, {});
  for (auto& reply : waiting) reply(model::error(ErrorCode::kShuttingDown));
}

}  // namespace millrace::service
