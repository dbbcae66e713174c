#include "broker/service/testing/brokers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/service/hand_over.h"
#include "broker/service/led_report.h"
#include "broker/service/permits.h"

namespace millrace::service::testing {
namespace {

using model::BrokerId;

constexpr std::uint16_t kInternalPort = 9093;
constexpr std::size_t kFirstVoters = 3;

BrokerId id_of(std::size_t broker) {
  return BrokerId{static_cast<std::int32_t>(broker)};
}

std::uint32_t shard_of_key(const model::PartitionKey& key, std::uint32_t shards) {
  return shard_of(key, shards);
}

}  // namespace

Brokers::Brokers(BrokersOptions options)
    : world(options.seed), network(world), options_(std::move(options)) {
  for (std::size_t i = 0; i < options_.brokers; ++i)
    make(i < options_.racks.size() ? options_.racks[i] : "");
  if (!options_.keeps_itself) {
    commit({metadata::FeatureLevelSet{metadata::kClusterLevel}});
    for (const auto& broker : brokers_) change(registration_of(*broker));
  }
  first_voters_.id = {.term = model::Term{0}, .version = 1};
  for (std::size_t i = 0; i < std::min(kFirstVoters, options_.brokers); ++i)
    first_voters_.voters.push_back(replica_id(i));
  for (std::size_t i = 0; i < options_.brokers; ++i) start(i);
  CHECK(until([this] { return all_hear_all(); }));
  // And know that they are heard, so that leaders have leases.
  world.run_for(std::chrono::milliseconds(500));
  if (!options_.keeps_itself) return;
  for (const auto& broker : brokers_) CHECK(until([&] { return enlisted(*broker); }));
  change(metadata::SetFeatureLevel{metadata::kClusterLevel});
}

Brokers::Broker& Brokers::make(const std::string& rack) {
  const std::size_t index = brokers_.size();
  auto& broker = *brokers_.emplace_back(std::make_unique<Broker>(world));
  broker.host = fmt::format("b{}", index);
  broker.rack = rack;
  auto identity = std::make_shared<Identity>();
  identity->cluster_id = "test-cluster";
  identity->node = id_of(index);
  identity->directory = common::Uuid::random(world.random());
  identity->version = "test";
  broker.identity = identity;
  return broker;
}

metadata::RegisterBroker Brokers::registration_of(const Broker& broker) const {
  metadata::Broker told{.id = broker.identity->node,
                        .directory = broker.identity->directory,
                        .endpoints = {},
                        .rack = broker.rack,
                        .incarnation = broker.incarnation};
  told.endpoints = {{"kafka", broker.host + ".test", 9092}};
  told.shards = static_cast<std::int32_t>(options_.shards);
  told.level_max = metadata::kFeatureLevelMax;
  return {.broker = told};
}

bool Brokers::all_hear_all() {
  for (std::size_t i = 0; i < brokers_.size(); ++i) {
    if (!running(i)) continue;
    for (std::size_t j = 0; j < brokers_.size(); ++j) {
      if (!running(j)) continue;
      for (std::size_t s = 0; s < options_.shards; ++s) {
        if (!shard(i, s).alive(id_of(j))) return false;
      }
    }
  }
  return true;
}

Brokers::~Brokers() {
  for (auto& broker : brokers_) {
    if (broker->hub != nullptr) take_apart(*broker);
  }
}

void Brokers::open_shards(Broker& broker) {
  auto config = options_.config;
  config.emplace("data.dir", "/data");
  if (!broker.rack.empty()) config["broker.rack"] = broker.rack;
  const auto start_config = std::make_shared<const model::ConfigMap>(std::move(config));
  std::vector<Shard*> peers;
  for (std::uint32_t i = 0; i < options_.shards; ++i) {
    auto& thread = *broker.threads.emplace_back(std::make_unique<Thread>());
    thread.loop = &world.make_loop();
    thread.disk = broker.hardware.mount(*thread.loop);
    thread.transport = network.join(*thread.loop, broker.host);
    auto store = storage::Store::open(
        {.disk = *thread.disk,
         .loop = *thread.loop,
         .shard = i,
         .on_fatal = [](const common::Error& error) { CHECK(false, "fatal: {}", error.detail); }},
        small_store());
    CHECK(store.ok(), "{}", store.error().detail);
    thread.shard = std::make_unique<Shard>(
        Shard::Parts{.index = i,
                     .loop = *thread.loop,
                     .disk = *thread.disk,
                     .random = world.random().fork(),
                     .store = std::move(store).value(),
                     .identity = broker.identity,
                     .start_config = start_config,
                     .raft = options_.raft,
                     .log = [this, host = broker.host](std::string_view line) {
                       notes.push_back(fmt::format("{}: {}", host, line));
                     }});
    peers.push_back(thread.shard.get());
  }
  for (auto& thread : broker.threads) thread->shard->set_peers(peers);
}

void Brokers::join(Broker& broker) {
  std::vector<cluster::Mesh*> meshes;
  for (std::uint32_t i = 0; i < broker.threads.size(); ++i) {
    Thread& thread = *broker.threads[i];
    thread.port = std::make_unique<MeshPort>(*thread.shard);
    thread.mesh =
        std::make_unique<cluster::Mesh>(cluster::Mesh::Parts{.shard = i,
                                                             .loop = *thread.loop,
                                                             .transport = *thread.transport,
                                                             .settings = cluster_settings_,
                                                             .handler = *thread.port,
                                                             .shard_of = shard_of_key,
                                                             .random = world.random().fork()});
    thread.neighbours = std::make_unique<MeshNeighbours>(*thread.mesh);
    thread.shard->set_neighbours(thread.neighbours.get());
    meshes.push_back(thread.mesh.get());
  }
  broker.hub = std::make_unique<cluster::Hub>(
      cluster::Hub::Parts{.loop = *broker.threads.front()->loop,
                          .transport = *broker.threads.front()->transport,
                          .settings = cluster_settings_,
                          .random = world.random().fork(),
                          .log = [this, host = broker.host](std::string_view line) {
                            notes.push_back(fmt::format("{}: {}", host, line));
                          }});
  broker.hub->join(meshes);
  CHECK(broker.hub->listen({"", kInternalPort}).ok());
  for (const auto& other : brokers_)
    broker.hub->set_peer({other->identity->node, {other->host, kInternalPort}});
}

void Brokers::start(std::size_t index) {
  Broker& broker = *brokers_.at(index);
  CHECK(broker.hub == nullptr);
  open_shards(broker);
  join(broker);
  introduce(broker);
  if (options_.keeps_itself) {
    read_kept_metadata(broker);
  } else {
    read_told_metadata(broker);
  }
}

void Brokers::introduce(Broker& broker) {
  cluster::Introduction who;
  who.cluster_id = broker.identity->cluster_id;
  who.node = broker.identity->node;
  who.directory = broker.identity->directory;
  who.incarnation = broker.incarnation = common::Uuid::random(world.random());
  who.shards = options_.shards;
  who.internal = {broker.host, kInternalPort};
  broker.hub->start(std::make_shared<const cluster::Introduction>(who));
  broker.hub->set_state({.recovered = true});
}

void Brokers::read_told_metadata(Broker& broker) {
  serve_led(*broker.threads.front()->shard);
  for (auto& thread : broker.threads) {
    thread->shard->take_image(image_);
    thread->shard->open_partitions();
    thread->shard->set_aside_unknown();
  }
}

void Brokers::read_kept_metadata(Broker& broker) {
  Shard& first = *broker.threads.front()->shard;
  broker.calls = std::make_unique<MetadataCalls>(first);
  replica::Beginning beginning = first.beginning();
  beginning.first_voters = {};
  if (first_voters_.is_voter(first.self_replica())) beginning.first_voters = first_voters_;
  broker.writer = std::make_unique<MetadataWriter>(first, *broker.calls, beginning);
  first.set_metadata_writer(broker.writer.get());
  serve_proposals(first);
  serve_permits(first);
  broker.keeper = std::make_unique<ClusterKeeper>(
      ClusterKeeper::Parts{.first = first,
                           .health = [hub = broker.hub.get()] { return hub->health(); },
                           .leads =
                               [&first, calls = broker.calls.get()] {
                                 return calls->metadata_leader() == first.identity().node;
                               },
                           .has_room = [&first] { return !first.store().out_of_space(); },
                           .settings = options_.keeper});
  first.set_keeper(broker.keeper.get());
  const auto replayed =
      wait<common::Result<void>>([&](auto reply) { broker.writer->replay(std::move(reply)); });
  CHECK(replayed.ok(), "{}", replayed.error().detail);
  for (auto& thread : broker.threads) thread->shard->open_partitions();
  broker.writer->clean_up();
  broker.keeper->start();
  enlist(broker);
}

/// Registers, as soon as somebody leads the metadata log.
void Brokers::enlist(Broker& broker) {
  MetadataWriter::decide_on<metadata::NoOutcome>(
      *broker.threads.front()->shard,
      [command = registration_of(broker)](const metadata::Image& image) {
        return metadata::decide(image, command);
      },
      [this, &broker](const common::Result<metadata::NoOutcome>& registered) {
        if (!registered.ok() && broker.hub != nullptr &&
            registered.error().code != model::ErrorCode::kShuttingDown)
          enlist(broker);
      });
}

bool Brokers::enlisted(const Broker& broker) const {
  const auto found = image().brokers().find(broker.identity->node);
  return found != image().brokers().end() && found->second.directory == broker.identity->directory;
}

std::size_t Brokers::add(const std::string& rack) {
  CHECK(options_.keeps_itself);
  Broker& broker = make(rack);
  const std::size_t index = brokers_.size() - 1;
  start(index);
  for (const auto& other : brokers_) {
    if (other->hub != nullptr)
      other->hub->set_peer({broker.identity->node, {broker.host, kInternalPort}});
  }
  CHECK(until([&] { return enlisted(broker); }), "it does not register");
  CHECK(until([this] { return all_hear_all(); }));
  return index;
}

void Brokers::lose_disk(std::size_t index) {
  Broker& broker = *brokers_.at(index);
  CHECK(broker.hub == nullptr);
  broker.hardware.lose_everything();
  auto identity = std::make_shared<Identity>(*broker.identity);
  identity->directory = common::Uuid::random(world.random());
  broker.identity = identity;
}

void Brokers::stop(std::size_t index) {
  Broker& broker = *brokers_.at(index);
  for (auto& thread : broker.threads) {
    wait<std::size_t>([&](auto reply) {
      hand_over_all(*thread->shard, std::chrono::seconds(5), std::move(reply));
    });
  }
  world.run_for(std::chrono::milliseconds(20));
  if (broker.keeper != nullptr) broker.keeper->stop();
  if (broker.writer != nullptr) broker.writer->close();
  for (auto& thread : broker.threads) thread->shard->close();
  for (auto& thread : broker.threads) {
    const auto closed = wait<common::Result<void>>(
        [&](auto reply) { thread->shard->store().close(std::move(reply)); });
    CHECK(closed.ok(), "{}", closed.error().detail);
  }
  broker.hub->goodbye();
  world.run_for(std::chrono::milliseconds(5));
  take_apart(broker);
  network.crash(broker.host, true);
}

void Brokers::kill(std::size_t index) {
  Broker& broker = *brokers_.at(index);
  broker.hardware.kill();
  take_apart(broker);
  network.crash(broker.host, true);
}

void Brokers::crash(std::size_t index) {
  Broker& broker = *brokers_.at(index);
  broker.hardware.crash(env::testing::Survival::kNothing);
  network.crash(broker.host, false);
  take_apart(broker);
}

void Brokers::take_apart(Broker& broker) {
  const common::RepliesMayDrop nobody_listens;
  for (auto& thread : broker.threads) thread->loop->stop();
  if (broker.keeper != nullptr) broker.keeper->stop();
  if (broker.writer != nullptr) broker.writer->close();
  for (auto& thread : broker.threads) thread->shard->close();
  broker.hub.reset();
  for (auto& thread : broker.threads) {
    thread->shard->set_neighbours(nullptr);
    thread->mesh->close();
  }
  broker.keeper.reset();
  broker.writer.reset();
  broker.calls.reset();
  broker.threads.clear();
}

void Brokers::cut_off(std::size_t index) {
  for (const auto& other : brokers_) {
    if (other->host != brokers_.at(index)->host)
      network.partition(brokers_.at(index)->host, other->host);
  }
}

replica::Partition* Brokers::replica(std::size_t broker, const model::PartitionKey& key) {
  if (!running(broker)) return nullptr;
  return shard(broker).owner(key).partition(key);
}

raft::ReplicaId Brokers::replica_id(std::size_t broker) const {
  const Identity& identity = *brokers_.at(broker)->identity;
  return {identity.node, identity.directory};
}

std::vector<raft::ReplicaId> Brokers::replica_ids(std::vector<std::size_t> brokers) const {
  std::vector<raft::ReplicaId> ids;
  for (const std::size_t broker : brokers) ids.push_back(replica_id(broker));
  return ids;
}

// ---- Metadata

const metadata::Image& Brokers::image() const {
  if (!options_.keeps_itself) return image_;
  for (const auto& broker : brokers_) {
    if (broker->hub != nullptr) return broker->threads.front()->shard->image();
  }
  CHECK(false, "nobody runs");
  return image_;
}

std::optional<std::size_t> Brokers::metadata_leader() {
  for (std::size_t i = 0; i < brokers_.size(); ++i) {
    if (running(i) && brokers_[i]->writer->replica().is_leader()) return i;
  }
  return std::nullopt;
}

common::Result<void> Brokers::propose(MetadataWriter::Decide decide) {
  for (auto& broker : brokers_) {
    if (broker->hub == nullptr) continue;
    return wait<common::Result<void>>(
        [&](auto reply) { broker->writer->submit(std::move(decide), std::move(reply)); });
  }
  return model::error(model::ErrorCode::kBrokerNotAvailable);
}

void Brokers::commit(const std::vector<metadata::Record>& records) {
  CHECK(!options_.keeps_itself);
  for (const metadata::Record& record : records)
    CHECK(image_.apply(record), "{}: {}", metadata::describe(record), image_.last_rejection());
  for (auto& broker : brokers_) {
    for (auto& thread : broker->threads) {
      thread->loop->post([shard = thread->shard.get(), records] {
        for (const metadata::Record& record : records) shard->apply(record);
      });
    }
  }
  world.run_for(std::chrono::milliseconds(1));
}

model::TopicId Brokers::create_topic(const std::string& name, std::int32_t partitions,
                                     const metadata::Replicas& replicas,
                                     const model::ConfigMap& configs) {
  metadata::CreateTopic command{.name = name, .id = model::TopicId::random(world.random())};
  if (replicas.empty()) {
    command.partitions = partitions;
  } else {
    for (std::int32_t i = 0; i < partitions; ++i) command.assignments.emplace_back(i, replicas);
  }
  command.configs = configs;
  const metadata::CreationRules rules{.default_partitions = 1,
                                      .default_replication_factor = static_cast<std::int16_t>(
                                          std::min<std::size_t>(3, brokers_.size())),
                                      .partitions_per_shard_max = 100'000};
  const auto decide =
      [command,
       rules](const metadata::Image& image) -> common::Result<std::vector<metadata::Record>> {
    auto decision = metadata::decide(image, command, rules);
    if (!decision.ok()) return std::move(decision).error();
    return std::move(decision->records);
  };
  if (options_.keeps_itself) {
    const auto made = propose(decide);
    CHECK(made.ok(), "{}", made.error().detail);
  } else {
    commit(decide(image_).value());
  }
  for (std::int32_t i = 0; i < partitions; ++i) {
    const model::PartitionKey partition{command.id, model::PartitionIndex{i}};
    CHECK(until([&] { return leader(partition).has_value(); }), "{}-{} has no leader", name, i);
  }
  return command.id;
}

model::PartitionKey Brokers::key(const std::string& topic, std::int32_t partition) const {
  return {image().topic(topic)->id, model::PartitionIndex{partition}};
}

void Brokers::move(const model::PartitionKey& key, const std::vector<std::size_t>& brokers) {
  metadata::ReassignPartition command{.topic = image().topic(key.topic)->name,
                                      .index = key.index.value(),
                                      .replicas = metadata::Replicas{}};
  for (const std::size_t broker : brokers) command.replicas->push_back(id_of(broker));
  change(command);
}

// ---- Data

std::optional<std::size_t> Brokers::leader(const model::PartitionKey& key) {
  std::optional<std::size_t> found;
  model::Term term{-1};
  for (std::size_t i = 0; i < brokers_.size(); ++i) {
    const replica::Partition* const here = replica(i, key);
    if (here == nullptr || !here->is_leader() || here->term() < term) continue;
    found = i;
    term = here->term();
  }
  return found;
}

ProduceOutcome Brokers::produce_one(std::size_t broker, const model::PartitionKey& key,
                                    const BatchSpec& spec, replica::Acks acks,
                                    common::Duration timeout) {
  ProduceCommand command{.acks = acks, .timeout = timeout, .items = {}};
  command.items.push_back({{key.topic, "", key.index}, make_batch(spec)});
  return wait<std::vector<ProduceOutcome>>(
             [&](auto reply) { produce(shard(broker), std::move(command), std::move(reply)); })
      .front();
}

void Brokers::produce_surely(const model::PartitionKey& key, const BatchSpec& spec) {
  for (int i = 0; i < 100; ++i) {
    if (!until([&] { return leader(key).has_value(); })) break;
    if (produce_one(*leader(key), key, spec).code == model::ErrorCode::kNone) return;
    world.run_for(std::chrono::milliseconds(100));
  }
  CHECK(false, "no leader takes it");
}

FetchOutcome Brokers::fetch_one(std::size_t broker, const model::PartitionKey& key,
                                model::Offset from, bool from_followers, const std::string& rack) {
  FetchCommand command{.items = {}, .from_followers = from_followers, .rack = rack};
  command.items.push_back({.target = {key.topic, "", key.index}, .from = from});
  return wait<std::vector<FetchOutcome>>(
             [&](auto reply) { fetch(shard(broker), std::move(command), std::move(reply)); })
      .front();
}

}  // namespace millrace::service::testing
