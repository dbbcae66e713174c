// What one shard owns, and how it reaches the others. Use cases (the other headers of this folder)
// are functions of a Shard.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/env/loop.h"
#include "broker/env/transport.h"
#include "broker/metadata/image.h"
#include "broker/metadata/machine.h"
#include "broker/model/broker_settings.h"
#include "broker/model/ids.h"
#include "broker/replica/partition.h"
#include "broker/storage/store.h"
#include "broker/telemetry/clients.h"
#include "common/random.h"

namespace millrace::service {

class GroupCoordinators;
class Loggers;
class MetadataWriter;

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
    /// Takes one line, "event=... key=value ...", worth a look of whoever runs the broker. Empty:
    /// nobody listens.
    common::Function<void(std::string_view)> log;
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

  /// The partitions led here, on this shard. nullptr: not here, or unknown.
  replica::Partition* partition(const model::PartitionKey& key);
  const std::unordered_map<model::PartitionKey, std::unique_ptr<replica::Partition>>& partitions()
      const {
    return partitions_;
  }

  /// The coordinators of the groups whose partition is led here.
  GroupCoordinators& coordinators() { return *coordinators_; }
  const GroupCoordinators& coordinators() const { return *coordinators_; }
  /// One line for the broker's log.
  void note(std::string_view line) {
    if (log_) log_(line);
  }

  /// All shards of the broker, set once before serving.
  void set_peers(std::span<Shard* const> peers) { peers_.assign(peers.begin(), peers.end()); }
  std::span<Shard* const> peers() const { return peers_; }
  /// The shard that owns a partition: a function of the key alone.
  Shard& owner(const model::PartitionKey& key);
  Shard& first() { return *peers_.front(); }
  /// On the first shard: who writes the metadata log. nullptr elsewhere.
  MetadataWriter* metadata_writer() { return metadata_writer_; }
  void set_metadata_writer(MetadataWriter* writer) { metadata_writer_ = writer; }

  /// Applies one committed metadata record to the image and makes partitions as it says.
  void apply(const metadata::Record& record);
  /// Start-up, before partitions are open: takes a record into the image alone.
  void replay(const metadata::Record& record) { image_.apply(record); }
  /// Start-up: counts bytes of the metadata log that are no record.
  void reject(common::ByteView value) { image_.apply_bytes(value); }
  /// Opens the partitions of the image that belong here; sets aside what the image does not know.
  /// After recovery, once.
  void open_partitions();
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
  void open_partition(const metadata::Topic& topic, model::PartitionIndex index);
  void close_partitions(const metadata::Topic& topic);
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
  model::BrokerSettings settings_;
  metadata::Image image_;
  std::unordered_map<model::PartitionKey, std::unique_ptr<replica::Partition>> partitions_;
  std::unique_ptr<GroupCoordinators> coordinators_;  // goes before the partitions
  std::vector<Shard*> peers_;
  MetadataWriter* metadata_writer_ = nullptr;
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
