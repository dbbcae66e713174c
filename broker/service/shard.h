// What one shard owns, and how it reaches the others. Use cases (the other headers of this folder)
// are functions of a Shard.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/env/loop.h"
#include "broker/env/transport.h"
#include "broker/metadata/image.h"
#include "broker/metadata/machine.h"
#include "broker/model/broker_settings.h"
#include "broker/model/ids.h"
#include "broker/raft/settings.h"
#include "broker/replica/partition.h"
#include "broker/service/replicas.h"
#include "broker/storage/store.h"
#include "broker/telemetry/clients.h"
#include "common/random.h"

namespace millrace::service {

class Announcer;
class AppendWaits;
class Calls;
class ClusterKeeper;
class Departures;
class FirstElections;
class GroupCoordinators;
class Loggers;
class MetadataWriter;
class Mover;
class Neighbours;
class RoleWaits;

/// This broker as others see it. Constant after start.
struct Identity {
  common::Uuid cluster_uuid;
  std::string cluster_id;
  model::BrokerId node;
  common::Uuid directory;
  /// Where Kafka and gRPC clients should connect. An empty host: the address that the client came
  /// to.
  env::Endpoint kafka_advertised;
  env::Endpoint grpc_advertised;
  std::string version;
};

/// One thread's partitions, image of the metadata and services. Everything of it is used on its
/// loop only; other shards post to loop().
class Shard {
 public:
  struct Parts {
    std::uint32_t index = 0;
    env::Loop& loop;
    env::Disk& disk;
    common::Random random;
    std::unique_ptr<storage::Store> store;
    std::shared_ptr<const Identity> identity;
    /// Broker settings from file, environment and flags, by name; already checked.
    std::shared_ptr<const model::ConfigMap> start_config;
    raft::Settings raft = {};
    /// Takes one line, "event=... key=value ...", worth a look of whoever runs the broker. Empty:
    /// nobody listens.
    common::Function<void(std::string_view)> log;
    /// Likewise what is as it should be: moves that were planned, say. Empty: `log` takes it.
    common::Function<void(std::string_view)> tell;
  };
  explicit Shard(Parts parts);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  std::uint32_t index() const { return index_; }
  env::Loop& loop() { return loop_; }
  env::Disk& disk() { return disk_; }
  const common::Clock& clock() const { return loop_.clock(); }
  common::Random& random() { return random_; }
  storage::Store& store() { return *store_; }
  const Identity& identity() const { return *identity_; }
  /// Once, when the doors are open and their addresses known.
  void set_identity(std::shared_ptr<const Identity> identity) { identity_ = std::move(identity); }
  /// The broker's settings now in force; dynamic changes arrive through the metadata.
  const model::BrokerSettings& settings() const { return settings_; }
  /// This shard's copy of the cluster's metadata: every committed record is applied to each shard's
  /// copy.
  const metadata::Image& image() const { return image_; }

  /// The layers that a broker-level value may come from. Valid until the next apply().
  model::BrokerLayers layers() const;

  /// This shard's replica of a partition, which may lead it or not (leaders.h). nullptr: not here,
  /// or unknown.
  replica::Partition* partition(const model::PartitionKey& key) { return replicas_->find(key); }
  const Replicas::Map& partitions() const { return replicas_->all(); }
  Replicas& replicas() { return *replicas_; }
  const Replicas& replicas() const { return *replicas_; }
  /// What this broker's replicas are called in their groups.
  raft::ReplicaId self_replica() const { return {identity_->node, identity_->directory}; }
  const raft::Settings& raft() const { return raft_; }

  /// The other brokers; nullptr: this one is alone. To be set before partitions are opened, and
  /// kept until close().
  Neighbours* neighbours() const { return neighbours_; }
  void set_neighbours(Neighbours* neighbours);
  /// Whether a broker is there, this one included.
  bool alive(model::BrokerId node) const;
  /// What others may ask of this shard.
  Calls& calls() { return *calls_; }
  Announcer& announcer() { return *announcer_; }
  AppendWaits& append_waits() { return *append_waits_; }
  Mover& mover() { return *mover_; }
  const Mover& mover() const { return *mover_; }
  RoleWaits& role_waits() { return *role_waits_; }

  /// The coordinators of the groups whose partition is led here.
  GroupCoordinators& coordinators() { return *coordinators_; }
  const GroupCoordinators& coordinators() const { return *coordinators_; }
  /// One line for the broker's log, worth a look.
  void note(std::string_view line) {
    if (log_) log_(line);
  }
  /// One line for the broker's log about what is as it should be.
  void tell(std::string_view line) {
    if (tell_) return tell_(line);
    note(line);
  }

  /// How a replica begins whose group this broker makes, alone.
  replica::Beginning beginning() const;

  /// All shards of the broker, set once before serving.
  void set_peers(std::span<Shard* const> peers) { peers_.assign(peers.begin(), peers.end()); }
  std::span<Shard* const> peers() const { return peers_; }
  /// The shard that owns a partition: a function of the key alone.
  Shard& owner(const model::PartitionKey& key);
  Shard& first() { return *peers_.front(); }
  /// On the first shard: who writes the metadata log. nullptr elsewhere.
  MetadataWriter* metadata_writer() { return metadata_writer_; }
  void set_metadata_writer(MetadataWriter* writer) { metadata_writer_ = writer; }
  /// On the first shard of a broker with neighbours: who keeps the cluster. nullptr elsewhere.
  ClusterKeeper* keeper() { return keeper_; }
  void set_keeper(ClusterKeeper* keeper) { keeper_ = keeper; }

  /// Applies one committed metadata record to the image and makes partitions as it says.
  void apply(const metadata::Record& record);
  /// Counts bytes of the metadata log that are no record.
  void reject(common::ByteView value) { image_.apply_bytes(value); }
  /// Another image takes the place of the one there is: what was read back at the start, or a
  /// snapshot. Partitions follow it if they are open.
  void take_image(metadata::Image image);
  /// Before open_partitions(): the image may be older than what this broker did before it was
  /// started. Replicas that have no state on the disk are not made until image_is_newest(): one
  /// that was moved away since would come back blank, under the name by which it had voted.
  void await_newest_image() { image_may_be_old_ = true; }
  void image_is_newest();
  /// Opens the partitions of the image that belong here. After recovery, once.
  void open_partitions();
  /// Sets aside the logs of partitions that the image does not know. Requires that it is newer than
  /// all of them.
  void set_aside_unknown();
  /// The replica is no more one of its partition, says a committed record or the group itself: it
  /// goes, with its records; what it has said in its group stays (replica/retirement.h).
  void retire_partition(const model::PartitionKey& key);
  /// Removes what this shard still holds of a deleted topic; answers when that is durable.
  void remove_logs(const model::TopicId& topic, common::Reply<common::Result<void>> done);

  /// A producer id nobody had before, from this shard's block; asks for a new block when it is used
  /// up.
  void next_producer_id(common::Reply<common::Result<model::ProducerId>> done);

  /// The clients whose metrics this shard keeps.
  telemetry::Clients& telemetry() { return telemetry_; }
  /// The process's log; nullptr: its levels are not to be seen.
  Loggers* loggers() const { return loggers_; }
  void set_loggers(Loggers* loggers) { loggers_ = loggers; }

  /// Answers all waiters and refuses further work.
  void close();

 private:
  enum class Birth : std::uint8_t { kNow, kEarlier };
  void open_all();
  void open_partition(const metadata::Topic& topic, model::PartitionIndex index, Birth birth);
  void open_replica(const metadata::Topic& topic, const model::PartitionKey& key,
                    const raft::VoterSet& first);
  void close_partitions(const metadata::Topic& topic);
  void let_go(const model::PartitionKey& key, model::ErrorCode reason);
  void forget_retired(const model::TopicId& topic);
  void partitions_changed(const metadata::Record& record);
  void assignment_changed(const model::PartitionKey& key);
  void role_changed(const model::PartitionKey& key, const raft::RoleChange& change);
  void follow_leadership(replica::Partition& partition, const raft::RoleChange& change);
  void refresh_settings(const metadata::Topic& topic);
  void refresh_all_settings();
  void refresh_subscriptions();
  void take_producer_ids(common::Result<metadata::ProducerIdBlock> block);

  std::uint32_t index_;
  env::Loop& loop_;
  env::Disk& disk_;
  common::Random random_;
  std::unique_ptr<storage::Store> store_;
  std::shared_ptr<const Identity> identity_;
  std::shared_ptr<const model::ConfigMap> start_config_;
  common::Function<void(std::string_view)> log_;
  common::Function<void(std::string_view)> tell_;
  model::BrokerSettings settings_;
  metadata::Image image_;
  bool open_ = false;
  bool image_may_be_old_ = false;
  raft::Settings raft_;
  Neighbours* neighbours_ = nullptr;
  std::unique_ptr<Calls> calls_;
  std::unique_ptr<AppendWaits> append_waits_;  // goes behind the partitions
  std::unique_ptr<Replicas> replicas_;
  std::unique_ptr<RoleWaits> role_waits_;
  std::unique_ptr<Announcer> announcer_;
  std::unique_ptr<Mover> mover_;
  std::unique_ptr<FirstElections> first_elections_;
  std::unique_ptr<Departures> departures_;
  std::unique_ptr<GroupCoordinators> coordinators_;  // goes before the partitions
  std::vector<Shard*> peers_;
  MetadataWriter* metadata_writer_ = nullptr;
  ClusterKeeper* keeper_ = nullptr;
  telemetry::Clients telemetry_;
  Loggers* loggers_ = nullptr;
  struct ProducerIds {
    std::int64_t next = 0;
    std::int64_t end = 0;
    bool asking = false;
    std::vector<common::Reply<common::Result<model::ProducerId>>> waiting;
  } producer_ids_;
};

/// Which of `shards` owns a partition.
std::uint32_t shard_of(const model::PartitionKey& key, std::uint32_t shards);

}  // namespace millrace::service
