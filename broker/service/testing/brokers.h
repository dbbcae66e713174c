// Brokers brokers({.brokers = 3});   auto topic = brokers.create_topic("orders", 4);
// brokers.crash(1);   brokers.until([&] { return brokers.leader("orders", 0).has_value(); });
//
// Several brokers below their doors, on one simulated network, each on a disk of its own that
// remembers from one start to the next. What the metadata says is said by the test: every running
// broker hears of it at once, and one that starts hears of everything before. Or, with
// `keeps_itself`, they have a metadata log with a keeper, as a real cluster.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/cluster/hub.h"
#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_transport.h"
#include "broker/env/testing/sim_world.h"
#include "broker/metadata/machine_cluster.h"
#include "broker/service/cluster_keeper.h"
#include "broker/service/fetch.h"
#include "broker/service/mesh_port.h"
#include "broker/service/metadata_calls.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/neighbours.h"
#include "broker/service/produce.h"
#include "broker/service/testing/node.h"

namespace millrace::service::testing {

struct BrokersOptions {
  std::size_t brokers = 3;
  std::uint32_t shards = 2;
  model::ConfigMap config;
  /// By broker; those that are missing have none.
  std::vector<std::string> racks;
  raft::Settings raft;
  /// The first three brokers, or all if there are fewer, are the first to vote on the metadata log.
  bool keeps_itself = false;
  KeeperSettings keeper;
  std::uint64_t seed = 1;
};

class Brokers {
 public:
  explicit Brokers(BrokersOptions options = {});
  ~Brokers();

  /// Recovers and opens everything. Requires that it does not run.
  void start(std::size_t broker);
  /// Hands over what it leads and stops.
  void stop(std::size_t broker);
  /// Its process is killed (`told`: its host still answers, and refuses), or its power goes.
  void kill(std::size_t broker);
  void crash(std::size_t broker);
  bool running(std::size_t broker) const { return brokers_.at(broker)->hub != nullptr; }
  /// One more broker, which joins. Requires keeps_itself.
  std::size_t add(const std::string& rack = "");
  /// Its disk is lost, and the next start is with a blank one. Requires that it does not run.
  void lose_disk(std::size_t broker);
  env::testing::SimDisk& disk(std::size_t broker) { return brokers_.at(broker)->hardware; }
  /// Nothing of its process runs for so long (SIGSTOP, SIGCONT).
  void pause(std::size_t broker, common::Duration span);
  /// Nothing gets through between one broker and all others; or everything again.
  void cut_off(std::size_t broker);
  void heal() { network.heal_all(); }

  Shard& shard(std::size_t broker, std::size_t i = 0) { return *at(broker, i).shard; }
  cluster::Hub& hub(std::size_t broker) { return *brokers_.at(broker)->hub; }
  /// Of those that keep themselves.
  ClusterKeeper& keeper(std::size_t broker) { return *brokers_.at(broker)->keeper; }
  /// Who leads the metadata log, and knows what is committed; nullopt: nobody.
  std::optional<std::size_t> metadata_leader();
  /// nullptr: it has none.
  replica::Partition* replica(std::size_t broker, const model::PartitionKey& key);
  raft::ReplicaId replica_id(std::size_t broker) const;
  std::vector<raft::ReplicaId> replica_ids(std::vector<std::size_t> brokers) const;

  /// Calls ask(reply) and drives the world until the reply is used.
  template <typename T, typename Ask>
  T wait(Ask ask) {
    auto place = std::make_shared<std::optional<T>>();
    ask(common::Reply<T>([place](T answer) { *place = std::move(answer); }));
    CHECK(until([place] { return place->has_value(); }), "no answer came");
    return std::move(**place);
  }
  bool until(common::Function<bool()> condition,
             common::Duration limit = std::chrono::seconds(60)) {
    return world.run_until(std::move(condition), limit);
  }

  // ---- Metadata
  /// Of the cluster; where it keeps itself, as the first broker that runs knows it.
  const metadata::Image& image() const;
  /// Committed, and applied by all brokers that run. Not where they keep themselves.
  void commit(const std::vector<metadata::Record>& records);
  template <typename Command>
  void change(const Command& command) {
    const auto changed = try_change(command);
    CHECK(changed.ok(), "{}", changed.error().detail);
  }
  template <typename Command>
  common::Result<void> try_change(const Command& command) {
    const auto decide =
        [command](const metadata::Image& image) -> common::Result<std::vector<metadata::Record>> {
      auto decision = metadata::decide(image, command);
      if (!decision.ok()) return std::move(decision).error();
      return std::move(decision->records);
    };
    if (options_.keeps_itself) return propose(decide);
    const auto records = decide(image_);
    if (!records.ok()) return records.error();
    commit(*records);
    return common::ok();
  }
  /// Returns when all partitions have leaders. `replicas`: of every partition, or empty.
  model::TopicId create_topic(const std::string& name, std::int32_t partitions = 1,
                              const metadata::Replicas& replicas = {},
                              const model::ConfigMap& configs = {});
  model::PartitionKey key(const std::string& topic, std::int32_t partition) const;
  /// Where replicas of a partition should be.
  void move(const model::PartitionKey& key, const std::vector<std::size_t>& brokers);

  // ---- Data
  /// The broker that leads and is confirmed, in the newest term; nullopt: none.
  std::optional<std::size_t> leader(const model::PartitionKey& key);
  ProduceOutcome produce_one(std::size_t broker, const model::PartitionKey& key,
                             const BatchSpec& spec = {}, replica::Acks acks = replica::Acks::kAll,
                             common::Duration timeout = {});
  /// Tries again, wherever the leader is, until it is taken.
  void produce_surely(const model::PartitionKey& key, const BatchSpec& spec = {});
  FetchOutcome fetch_one(std::size_t broker, const model::PartitionKey& key,
                         model::Offset from = {}, bool from_followers = false,
                         const std::string& rack = "");

  env::testing::SimWorld world;
  env::testing::SimNetwork network;
  std::vector<std::string> notes;

 private:
  /// One shard of a running broker. Members are destroyed in reverse order.
  struct Thread {
    env::testing::SimLoop* loop = nullptr;
    std::unique_ptr<env::Disk> disk;
    std::unique_ptr<env::Transport> transport;
    std::unique_ptr<Shard> shard;
    std::unique_ptr<MeshPort> port;
    std::unique_ptr<cluster::Mesh> mesh;
    std::unique_ptr<MeshNeighbours> neighbours;
  };
  struct Broker {
    explicit Broker(env::testing::SimWorld& world) : hardware(world) {}
    std::string host;
    std::shared_ptr<const Identity> identity;
    std::string rack;
    common::Uuid incarnation;  // of its process; zero: it never ran
    env::testing::SimDisk hardware;
    std::vector<std::unique_ptr<Thread>> threads;
    std::unique_ptr<cluster::Hub> hub;  // nullptr: it does not run
    // Of those that keep themselves:
    std::unique_ptr<MetadataCalls> calls;
    std::unique_ptr<MetadataWriter> writer;
    std::unique_ptr<ClusterKeeper> keeper;
  };
  Thread& at(std::size_t broker, std::size_t i) { return *brokers_.at(broker)->threads.at(i); }
  Broker& make(const std::string& rack);
  metadata::RegisterBroker registration_of(const Broker& broker) const;
  void open_shards(Broker& broker);
  void join(Broker& broker);
  void take_apart(Broker& broker);
  void read_told_metadata(Broker& broker);
  void read_kept_metadata(Broker& broker);
  void introduce(Broker& broker);
  void enlist(Broker& broker);
  bool enlisted(const Broker& broker) const;
  bool all_hear_all();
  common::Result<void> propose(MetadataWriter::Decide decide);

  const BrokersOptions options_;
  cluster::Settings cluster_settings_;
  metadata::Image image_;
  raft::VoterSet first_voters_;  // on the metadata log
  std::vector<std::unique_ptr<Broker>> brokers_;
};

}  // namespace millrace::service::testing
