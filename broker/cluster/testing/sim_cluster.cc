#include "broker/cluster/testing/sim_cluster.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::cluster::testing {

std::uint32_t shard_by_index(const model::PartitionKey& key, std::uint32_t shards) {
  return static_cast<std::uint32_t>(key.index.value()) % shards;
}

// ---- Recorder

void Recorder::on_raft(const model::PartitionKey& group, raft::Message message,
                       std::vector<Bytes> data) {
  arrivals.push_back({group, std::move(message), std::move(data)});
  if (on_arrival) on_arrival(arrivals.back());
}

void Recorder::on_request(Request request, common::Reply<Result<Bytes>> reply) {
  if (serve) return serve(std::move(request), std::move(reply));
  reply(std::move(request.body));
}

void Recorder::on_transition(const Transition& transition) {
  transitions.push_back(transition);
  switch (transition.sign) {
    case Sign::kSuspect:
      alive.erase(transition.node);
      break;
    case Sign::kRestarted:
      if (alive.contains(transition.node)) alive[transition.node] = transition.incarnation;
      break;
    case Sign::kAlive:
      alive[transition.node] = transition.incarnation;
      break;
  }
}

void Recorder::on_reconnect(model::BrokerId node) {
  reconnects.push_back(node);
}

void Recorder::on_leadership(const model::PartitionKey& group, const Leadership& leadership) {
  news.push_back({group, leadership});
}

std::size_t SimBroker::logged(std::string_view text) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      log, [text](const std::string& line) { return line.find(text) != std::string::npos; }));
}

// ---- SimCluster

SimCluster::SimCluster(std::uint64_t seed, env::testing::SimNetworkOptions options)
    : world(seed), network(world, options) {}

SimCluster::~SimCluster() {
  for (auto& [node, broker] : brokers_) {
    if (broker.running()) crash(node.value(), true);
  }
}

SimBroker& SimCluster::add(std::int32_t node, std::uint32_t shards) {
  SimBroker& broker = brokers_[model::BrokerId{node}];
  broker.host = fmt::format("b{}", node);
  Introduction who;
  who.cluster_id = "simulated";
  who.node = model::BrokerId{node};
  who.directory = common::Uuid::random(world.random());
  who.shards = shards;
  who.internal = {broker.host, kPort};
  broker.introduction = std::make_shared<const Introduction>(who);
  return broker;
}

void SimCluster::start(std::int32_t node, common::Function<void(Plan&)> prepare) {
  SimBroker& broker = this->broker(node);
  CHECK(!broker.running());
  Plan plan{.introduction = *broker.introduction};
  plan.introduction.incarnation = common::Uuid::random(world.random());
  for (const auto& [other, there] : brokers_) plan.peers.push_back({other, {there.host, kPort}});
  if (prepare) prepare(plan);
  broker.introduction = std::make_shared<const Introduction>(plan.introduction);
  std::vector<Mesh*> meshes;
  for (std::uint32_t i = 0; i < plan.introduction.shards; ++i) {
    auto shard = std::make_unique<SimBroker::Shard>();
    shard->loop = &world.make_loop();
    shard->transport = network.join(*shard->loop, broker.host);
    shard->mesh = std::make_unique<Mesh>(Mesh::Parts{.shard = i,
                                                     .loop = *shard->loop,
                                                     .transport = *shard->transport,
                                                     .settings = settings,
                                                     .handler = shard->recorder,
                                                     .shard_of = shard_by_index,
                                                     .random = world.random().fork()});
    meshes.push_back(shard->mesh.get());
    broker.shards.push_back(std::move(shard));
  }
  broker.hub = std::make_unique<Hub>(Hub::Parts{
      .loop = *broker.shards.front()->loop,
      .transport = *broker.shards.front()->transport,
      .settings = settings,
      .random = world.random().fork(),
      .log = [this, &broker](std::string_view line) {
        broker.log.push_back(fmt::format(
            "{} ms: {}", world.clock().now().time_since_epoch() / std::chrono::milliseconds(1),
            line));
      }});
  broker.hub->join(meshes);
  CHECK(broker.hub->listen({"", kPort}).ok());
  for (const Peer& peer : plan.peers) broker.hub->set_peer(peer);
  broker.hub->start(broker.introduction);
}

void SimCluster::start_all() {
  for (auto& [node, broker] : brokers_) start(node.value());
}

void SimCluster::crash(std::int32_t node, bool told) {
  const common::RepliesMayDrop nobody_listens;
  SimBroker& broker = this->broker(node);
  for (const auto& shard : broker.shards) shard->loop->stop();
  network.crash(broker.host, told);
  broker.hub.reset();
  broker.shards.clear();
}

bool SimCluster::all_alive() {
  for (auto& [node, broker] : brokers_) {
    if (!broker.running()) continue;
    for (auto& [other, there] : brokers_) {
      if (other == node || !there.running()) continue;
      for (const auto& shard : broker.shards) {
        const auto met = shard->recorder.alive.find(other);
        if (met == shard->recorder.alive.end() || met->second != there.introduction->incarnation)
          return false;
      }
    }
  }
  return true;
}

bool SimCluster::run_until(common::Function<bool()> condition, common::Duration limit) {
  return world.run_until(std::move(condition), limit);
}

}  // namespace millrace::cluster::testing
