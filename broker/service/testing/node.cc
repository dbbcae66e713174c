#include "broker/service/testing/node.h"

#include <utility>

#include "broker/model/record.h"

namespace millrace::service::testing {

namespace {

std::shared_ptr<const Identity> test_identity() {
  auto identity = std::make_shared<Identity>();
  identity->cluster_id = "test-cluster";
  identity->node = model::BrokerId{0};
  identity->directory.bytes[0] = 8;
  identity->version = "test";
  return identity;
}

}  // namespace

storage::StoreOptions small_store() {
  storage::StoreOptions options;
  options.journal_file_bytes = 4 << 20;
  options.journal_bytes_max = 16 << 20;
  options.cache_bytes = 4 << 20;
  options.free_bytes_min = 0;
  return options;
}

common::Bytes make_batch(const BatchSpec& spec) {
  model::BatchOptions options;
  if (spec.producer != model::kNoProducerId) {
    options.producer_id = spec.producer;
    options.producer_epoch = 0;
    options.base_sequence = spec.sequence;
  }
  model::BatchBuilder builder(options);
  common::Timestamp time = spec.time;
  for (const std::string& value : spec.values) {
    builder.append({.timestamp = time, .value = common::as_bytes(value)});
    time = time + 1;
  }
  return builder.build();
}

std::vector<std::string> values_in(const FetchOutcome& outcome) {
  std::vector<std::string> values;
  for (const common::Bytes& piece : outcome.pieces) {
    common::ByteView rest = piece.view();
    while (!rest.empty()) {
      const auto batch = model::BatchView::parse(rest).value();
      model::RecordReader reader(batch.payload(), batch.record_count());
      while (const auto record = reader.next().value())
        values.emplace_back(common::as_text(record->value.value()));
      rest = rest.subspan(batch.size());
    }
  }
  return values;
}

Node::Node(NodeOptions options)
    : world(options.seed),
      hardware(world),
      options_(std::move(options)),
      identity_(test_identity()) {}

Node::~Node() {
  if (!shards_.empty()) crash();
}

void Node::start() {
  CHECK(shards_.empty());
  auto config = options_.config;
  config.emplace("data.dir", "/data");
  const auto start_config = std::make_shared<const model::ConfigMap>(std::move(config));
  std::vector<Shard*> peers;
  for (std::uint32_t i = 0; i < options_.shards; ++i) {
    loops_.push_back(&world.make_loop());
    disks_.push_back(hardware.mount(*loops_[i]));
    auto store = storage::Store::open(
        {.disk = *disks_[i],
         .loop = *loops_[i],
         .shard = i,
         .on_fatal = [](const common::Error& error) { CHECK(false, "fatal: {}", error.detail); }},
        small_store());
    CHECK(store.ok(), "{}", store.error().detail);
    shards_.push_back(std::make_unique<Shard>(
        Shard::Parts{.index = i,
                     .loop = *loops_[i],
                     .disk = *disks_[i],
                     .random = world.random().fork(),
                     .store = std::move(store).value(),
                     .identity = identity_,
                     .start_config = start_config,
                     .log = [this](std::string_view line) { notes.emplace_back(line); }}));
    peers.push_back(shards_.back().get());
  }
  for (auto& shard : shards_) shard->set_peers(peers);
  writer_ = std::make_unique<MetadataWriter>(*shards_[0]);
  shards_[0]->set_metadata_writer(writer_.get());
  const auto replayed =
      wait<common::Result<void>>([&](auto reply) { writer_->replay(std::move(reply)); });
  CHECK(replayed.ok(), "{}", replayed.error().detail);
  for (auto& shard : shards_) shard->open_partitions();
  writer_->clean_up();
  metadata::Broker broker{
      .id = identity_->node, .directory = identity_->directory, .endpoints = {}, .rack = ""};
  broker.endpoints = {{"kafka", "broker.test", 9092}};
  broker.shards = static_cast<std::int32_t>(options_.shards);
  const auto registered = wait<common::Result<metadata::NoOutcome>>([&](auto reply) {
    MetadataWriter::decide_on<metadata::NoOutcome>(
        *shards_[0],
        [broker](const metadata::Image& image) {
          return metadata::decide(image, metadata::RegisterBroker{broker});
        },
        std::move(reply));
  });
  CHECK(registered.ok(), "{}", registered.error().detail);
}

void Node::stop() {
  writer_->close();
  for (auto& shard : shards_) shard->close();
  for (auto& shard : shards_) {
    const auto closed =
        wait<common::Result<void>>([&](auto reply) { shard->store().close(std::move(reply)); });
    CHECK(closed.ok(), "{}", closed.error().detail);
  }
  take_apart();
}

void Node::crash() {
  hardware.crash(env::testing::Survival::kNothing);
  take_apart();
}

void Node::take_apart() {
  const common::RepliesMayDrop end_of_the_machine;
  for (auto* loop : loops_) loop->stop();
  // What waits on one shard may belong to another: all hear of the end while all are there.
  for (auto& shard : shards_) shard->close();
  writer_.reset();
  // What still waits on one of the others answers to the first.
  while (!shards_.empty()) shards_.pop_back();
  disks_.clear();
  loops_.clear();
}

model::TopicId Node::create_topic(const std::string& name, std::int32_t partitions,
                                  std::vector<ConfigOverride> configs) {
  std::vector<NewTopic> topics;
  topics.push_back({.name = name, .partitions = partitions, .configs = std::move(configs)});
  const auto outcomes = wait<std::vector<TopicOutcome>>(
      [&](auto reply) { create_topics(shard(), std::move(topics), false, std::move(reply)); });
  CHECK(outcomes[0].code == model::ErrorCode::kNone, "{}", outcomes[0].detail);
  return outcomes[0].id;
}

TopicOutcome Node::delete_topic(const std::string& name) {
  return wait<std::vector<TopicOutcome>>([&](auto reply) {
           delete_topics(shard(), {{.id = {}, .name = name}}, std::move(reply));
         })
      .front();
}

ProduceOutcome Node::produce_one(const std::string& topic, std::int32_t partition,
                                 const BatchSpec& spec, std::size_t shard_index) {
  ProduceCommand command;
  command.items.push_back({{{}, topic, model::PartitionIndex{partition}}, make_batch(spec)});
  return wait<std::vector<ProduceOutcome>>(
             [&](auto reply) { produce(shard(shard_index), std::move(command), std::move(reply)); })
      .front();
}

FetchOutcome Node::fetch_one(const std::string& topic, std::int32_t partition, model::Offset from,
                             std::size_t shard_index) {
  FetchCommand command;
  command.items.push_back({.target = {{}, topic, model::PartitionIndex{partition}}, .from = from});
  return wait<std::vector<FetchOutcome>>(
             [&](auto reply) { fetch(shard(shard_index), std::move(command), std::move(reply)); })
      .front();
}

}  // namespace millrace::service::testing
