// Image image;
// for (const Record& record : committed) image.apply(record);
//
// The cluster as the metadata log describes it. Every shard keeps one and applies the same records
// in the same order.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "broker/metadata/records.h"
#include "broker/model/config_key.h"
#include "broker/model/ids.h"

namespace millrace::metadata {

/// What is wanted of a partition: where its replicas are, the preferred leader first, and where
/// they should go (empty: nowhere). The true voters live in the partition's own Raft group, which
/// works towards this.
struct PartitionAssignment {
  ReplicaSet replicas;
  ReplicaSet target;
  /// Somebody chose them: they change only where they must, not to even out.
  bool by_hand = false;
  bool target_by_hand = false;
  /// Other replicas than these were the first ones. Who opens one anew then does not know the first
  /// voters of its group, and waits for the leader to tell it the present ones.
  bool moved = false;
  bool moving() const { return !target.empty(); }
  bool operator==(const PartitionAssignment&) const = default;
};

/// A topic as created and altered so far. Never changed in place: an alteration makes a new one.
struct Topic {
  model::TopicId id;
  std::string name;
  /// The replica set of each partition, by index; the first one is preferred as leader.
  std::vector<Replicas> partitions;
  /// The same replica sets with their directories and moves; as many as `partitions`.
  std::vector<PartitionAssignment> assignments;
  /// What was set on the topic itself.
  model::ConfigMap configs;
  std::int32_t partition_count() const { return static_cast<std::int32_t>(partitions.size()); }
  bool operator==(const Topic&) const = default;
};

/// A deleted topic whose files are not confirmed gone on all of its brokers.
struct RemovingTopic {
  std::string name;
  std::set<model::BrokerId> waiting_for;
  bool operator==(const RemovingTopic&) const = default;
};

/// The proof that a broker's directory was emptied and will not come back.
struct Receipt {
  model::BrokerId broker{-1};
  common::Uuid directory;
  std::int64_t epoch = 0;
  bool operator==(const Receipt&) const = default;
};

/// A broker's process may stop, until it lapses.
struct Permit {
  common::Uuid incarnation;
  std::int64_t expires_at_ms = 0;
  std::int64_t lasts_ms = 0;  // 0: not known
  bool operator==(const Permit&) const = default;
};

/// The replicated state. Copying it shares the topics. Not thread-safe.
/// A topic goes: absent -> (TopicCreated) live -> (TopicDeleted) removing -> (TopicRemoved by each
/// broker) absent.
class Image {
 public:
  /// The only way the state changes. Never fails: a record that makes no sense here (made by a
  /// newer version, or by a bug) changes nothing, is counted, and the same on every broker. True:
  /// it was applied.
  bool apply(const Record& record);
  /// As above, from the bytes of a record's value; unreadable bytes count as rejected.
  bool apply_bytes(common::ByteView value);

  /// nullptr: no live topic of this name or id.
  std::shared_ptr<const Topic> topic(std::string_view name) const;
  std::shared_ptr<const Topic> topic(const model::TopicId& id) const;
  /// Live topics in order of name.
  const std::map<std::string, std::shared_ptr<const Topic>, std::less<>>& topics() const {
    return by_name_;
  }
  /// A live topic whose name differs from `name` only in '.' and '_'; nullptr: none.
  std::shared_ptr<const Topic> colliding_topic(std::string_view name) const;
  const std::map<model::TopicId, RemovingTopic>& removing() const { return removing_; }
  const std::map<model::BrokerId, Broker>& brokers() const { return brokers_; }
  /// Partitions of all live topics together.
  std::int64_t partition_total() const { return partition_total_; }
  /// Those of them whose replicas are to move.
  std::int64_t moving_total() const { return moving_total_; }
  /// Replicas of live topics on a broker, those that are to go there or to leave included.
  std::int64_t replicas_on(model::BrokerId broker) const;
  /// Partitions that prefer a broker as leader.
  std::int64_t leads_on(model::BrokerId broker) const;
  /// nullptr: no such partition of a live topic.
  const PartitionAssignment* assignment(const model::PartitionKey& partition) const;
  /// kActive for a broker that is not registered, too.
  BrokerState state(model::BrokerId broker) const;
  /// What was decommissioned, by directory.
  const std::map<common::Uuid, Receipt>& receipts() const { return receipts_; }
  const std::map<model::BrokerId, Permit>& permits() const { return permits_; }

  /// Settings made at run time for one broker; empty if there are none.
  const model::ConfigMap& broker_config(model::BrokerId broker) const;
  /// Settings made at run time for all brokers.
  const model::ConfigMap& cluster_config() const { return cluster_config_; }

  /// Settings of the resources of a kind, by name of the resource; none of them is empty.
  using ResourceConfigs = std::map<std::string, model::ConfigMap, std::less<>>;
  const ResourceConfigs& resource_configs(ResourceKind kind) const;

  /// Producer ids below this are given away.
  model::ProducerId next_producer_id() const { return next_producer_id_; }
  std::int32_t feature_level() const { return feature_level_; }

  /// Records that were refused since this image was made, and why the last one was. Not part of the
  /// state.
  std::uint64_t rejected() const { return rejected_; }
  const std::string& last_rejection() const { return last_rejection_; }

  /// The fewest records that make an equal image out of an empty one, in a fixed order. They bound
  /// replay.
  std::vector<Record> snapshot() const;

  /// Equality of state.
  bool operator==(const Image& other) const;

 private:
  using Rejection = std::optional<std::string>;
  Rejection on(const BrokerRegistered& record);
  Rejection on(const BrokerGone& record);
  Rejection on(const TopicCreated& record);
  Rejection on(const PartitionsAdded& record);
  Rejection on(const TopicConfigSet& record);
  Rejection on(const TopicDeleted& record);
  Rejection on(const TopicRemoving& record);
  Rejection on(const TopicRemoved& record);
  Rejection on(const BrokerConfigSet& record);
  Rejection on(const ProducerIdsAllocated& record);
  Rejection on(const FeatureLevelSet& record);
  Rejection on(const ResourceConfigSet& record);
  Rejection on(const BrokerStateSet& record);
  Rejection on(const BrokerDecommissioned& record);
  Rejection on(const MoveStarted& record);
  Rejection on(const MoveCompleted& record);
  Rejection on(const MoveCancelled& record);
  Rejection on(const AssignmentSet& record);
  Rejection on(const PermitGranted& record);
  Rejection on(const PermitEnded& record);
  Rejection on(const SnapshotPart& record);
  void put(std::shared_ptr<const Topic> topic);
  void put_assignment(const model::PartitionKey& partition, PartitionAssignment assignment);
  /// The replicas on the directories that their brokers have now.
  PartitionAssignment resolved(const Replicas& replicas) const;
  void count_partition(const PartitionAssignment& assignment, std::int64_t sign);
  bool reject(std::string why);

  std::map<std::string, std::shared_ptr<const Topic>, std::less<>> by_name_;
  std::map<model::TopicId, std::shared_ptr<const Topic>> by_id_;
  std::map<std::string, std::set<std::string>, std::less<>> by_collision_form_;
  std::map<model::TopicId, RemovingTopic> removing_;
  std::map<model::BrokerId, Broker> brokers_;
  std::map<model::BrokerId, model::ConfigMap> broker_configs_;
  model::ConfigMap cluster_config_;
  std::map<ResourceKind, ResourceConfigs> resource_configs_;
  std::map<model::BrokerId, std::int64_t> replicas_on_;
  std::map<model::BrokerId, std::int64_t> leads_on_;
  std::map<model::BrokerId, BrokerState> states_;  // those that are not active
  std::map<common::Uuid, Receipt> receipts_;
  std::map<model::BrokerId, Permit> permits_;
  std::int64_t partition_total_ = 0;
  std::int64_t moving_total_ = 0;
  model::ProducerId next_producer_id_{0};
  std::int32_t feature_level_ = 0;
  std::uint64_t rejected_ = 0;
  std::string last_rejection_;
};

}  // namespace millrace::metadata
