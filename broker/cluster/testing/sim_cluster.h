// SimCluster cluster(seed);   cluster.add(1, 2);   cluster.add(2, 2);   cluster.start_all();
// cluster.broker(1).mesh(0).send(...);
//
// Brokers, as far as this module goes, on a simulated network: a hub, meshes, and handlers that
// write down what they are told.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/cluster/hub.h"
#include "broker/cluster/mesh.h"
#include "broker/env/testing/sim_transport.h"
#include "broker/env/testing/sim_world.h"

namespace millrace::cluster::testing {

/// Partitions go round the shards by their index.
std::uint32_t shard_by_index(const model::PartitionKey& key, std::uint32_t shards);

/// One message as it arrived.
struct Arrival {
  model::PartitionKey group;
  raft::Message message;
  std::vector<Bytes> data;
};

/// Writes down what a shard is told. Calls are echoed, unless `serve` is set.
class Recorder final : public MeshHandler {
 public:
  void on_raft(const model::PartitionKey& group, raft::Message message,
               std::vector<Bytes> data) override;
  void on_request(Request request, common::Reply<Result<Bytes>> reply) override;
  void on_transition(const Transition& transition) override;
  void on_word(model::BrokerId node, const raft::Word& word) override { words[node] = word; }
  void on_reconnect(model::BrokerId node) override;
  void on_leadership(const model::PartitionKey& group, const Leadership& leadership) override;

  std::vector<Arrival> arrivals;
  std::vector<Transition> transitions;
  std::map<model::BrokerId, raft::Word> words;  // the newest
  std::vector<model::BrokerId> reconnects;
  std::vector<LeaderEntry> news;
  /// The brokers that are alive by what was told.
  std::map<model::BrokerId, common::Uuid> alive;
  common::Function<void(const Arrival&)> on_arrival;
  common::Function<void(Request, common::Reply<Result<Bytes>>)> serve;
};

class SimBroker {
 public:
  model::BrokerId node() const { return introduction->node; }
  Mesh& mesh(std::size_t shard) { return *shards.at(shard)->mesh; }
  Recorder& recorder(std::size_t shard) { return shards.at(shard)->recorder; }
  raft::ReplicaId replica() const { return {introduction->node, introduction->directory}; }
  bool running() const { return hub != nullptr; }
  /// Lines of the log that contain the text.
  std::size_t logged(std::string_view text) const;

  struct Shard {
    env::testing::SimLoop* loop = nullptr;
    std::unique_ptr<env::Transport> transport;
    Recorder recorder;
    std::unique_ptr<Mesh> mesh;
  };
  std::string host;
  std::shared_ptr<const Introduction> introduction;
  std::vector<std::unique_ptr<Shard>> shards;  // of the running process
  std::unique_ptr<Hub> hub;                    // nullptr: does not run
  std::vector<std::string> log;                // with the time of each line in front
};

class SimCluster {
 public:
  static constexpr std::uint16_t kPort = 9093;

  explicit SimCluster(std::uint64_t seed, env::testing::SimNetworkOptions options = {});
  ~SimCluster();

  /// A broker that the others are told of when they start. It does not run yet.
  SimBroker& add(std::int32_t node, std::uint32_t shards);
  SimBroker& broker(std::int32_t node) { return brokers_.at(model::BrokerId{node}); }
  std::map<model::BrokerId, SimBroker>& brokers() { return brokers_; }
  /// A new process. `prepare` may change how it introduces itself, and what peers it is told of.
  struct Plan {
    Introduction introduction;
    std::vector<Peer> peers;
  };
  void start(std::int32_t node, common::Function<void(Plan&)> prepare = {});
  void start_all();
  /// The process is gone. `told`: its host answers for it; else nothing does.
  void crash(std::int32_t node, bool told);
  /// Each alive for all shards of all others that run.
  bool all_alive();
  bool run_until(common::Function<bool()> condition,
                 common::Duration limit = std::chrono::seconds(60));

  env::testing::SimWorld world;
  env::testing::SimNetwork network;
  Settings settings;

 private:
  std::map<model::BrokerId, SimBroker> brokers_;
};

}  // namespace millrace::cluster::testing
