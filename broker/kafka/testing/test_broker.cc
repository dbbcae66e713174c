#include "broker/kafka/testing/test_broker.h"

#include <fmt/format.h>

#include <utility>

#include "broker/metadata/endpoints.h"
#include "broker/metadata/machine_cluster.h"
#include "common/endian.h"

namespace millrace::kafka::testing {

using common::Bytes;

namespace {

/// Servers of these tests are handed their connections.
class NoTransport final : public env::Transport {
 public:
  common::Result<std::unique_ptr<env::Listener>> listen(const env::Endpoint&,
                                                        env::OnAccept) override {
    return model::error(model::ErrorCode::kAddressInUse);
  }
  void connect(const env::Endpoint&,
               common::Reply<common::Result<std::unique_ptr<env::Connection>>> done) override {
    done(model::error(model::ErrorCode::kConnectionClosed));
  }
  std::unique_ptr<env::Connection> adopt(std::unique_ptr<env::Connection> connection) override {
    return connection;
  }
};

std::shared_ptr<const service::Identity> test_identity(env::Endpoint advertised) {
  auto identity = std::make_shared<service::Identity>();
  identity->cluster_uuid.bytes[0] = 7;
  identity->cluster_id = "test-cluster";
  identity->node = model::BrokerId{0};
  identity->directory.bytes[0] = 8;
  identity->kafka_advertised = std::move(advertised);
  identity->grpc_advertised = {"broker.test", 9094};
  identity->version = "test";
  return identity;
}

}  // namespace

std::int32_t Answer::correlation_id() const {
  return common::load_big<std::int32_t>(frame.data());
}

std::optional<Answer> Client::receive(common::Duration limit) {
  const auto whole = [this] {
    received_ += end_->take_received();
    if (received_.size() < 4) return false;
    const auto length =
        common::load_big<std::int32_t>(reinterpret_cast<const std::uint8_t*>(received_.data()));
    return received_.size() - 4 >= static_cast<std::size_t>(length);
  };
  broker_->world().run_until([&] { return whole() || end_->broker_closed(); }, limit);
  if (!whole()) return std::nullopt;
  const auto length = static_cast<std::size_t>(
      common::load_big<std::int32_t>(reinterpret_cast<const std::uint8_t*>(received_.data())));
  Answer answer{Bytes::copy_of(std::string_view(received_).substr(4, length))};
  received_.erase(0, 4 + length);
  return answer;
}

bool Client::closed(common::Duration limit) {
  broker_->world().run_until([&] { return end_->broker_closed(); }, limit);
  return end_->broker_closed();
}

TestBroker::TestBroker(TestBrokerOptions options) : transport_(std::make_unique<NoTransport>()) {
  options.config.emplace("data.dir", "/data");
  const auto config = std::make_shared<const model::ConfigMap>(options.config);
  const auto identity = test_identity(options.advertised);
  std::vector<service::Shard*> peers;
  for (std::uint32_t i = 0; i < options.shards; ++i) {
    loops_.push_back(&world_.make_loop());
    disks_.push_back(hardware_.mount(*loops_[i]));
    shards_.push_back(std::make_unique<service::Shard>(
        service::Shard::Parts{.index = i,
                              .loop = *loops_[i],
                              .disk = *disks_[i],
                              .random = world_.random().fork(),
                              .store = make_memory_store(*loops_[i], storage_),
                              .identity = identity,
                              .start_config = config}));
    peers.push_back(shards_.back().get());
  }
  for (auto& shard : shards_) {
    shard->set_peers(peers);
    shard->set_loggers(&loggers_);
    if (options.neighbours) shard->set_neighbours(&others_);
  }
  writer_ = std::make_unique<service::MetadataWriter>(*shards_[0]);
  shards_[0]->set_metadata_writer(writer_.get());
  bool ready = false;
  writer_->replay([&](const common::Result<void>& replayed) { ready = replayed.ok(); });
  CHECK(world_.run_until([&] { return ready; }));
  metadata::RegisterBroker registration;
  registration.broker.id = identity->node;
  registration.broker.directory = identity->directory;
  registration.broker.endpoints = {{"kafka", "broker.test", 9092}};
  registration.broker.shards = static_cast<std::int32_t>(options.shards);
  registration.broker.level_max = metadata::kFeatureLevelMax;
  change(registration);
  if (options.neighbours) change(metadata::SetFeatureLevel{metadata::kClusterLevel});
  for (auto& shard : shards_) shard->open_partitions();
  writer_->clean_up();
  for (auto& shard : shards_) {
    servers_.push_back(std::make_unique<Server>(
        Server::Parts{.shard = *shard,
                      .transport = *transport_,
                      .limits = options.limits,
                      .connections = connections_,
                      .log = [this](std::string_view line) { log_.emplace_back(line); }}));
    if (options.serve) servers_.back()->serve();
  }
}

template <typename Command>
void TestBroker::change(Command command) {
  bool done = false;
  service::MetadataWriter::decide_on<metadata::NoOutcome>(
      *shards_[0],
      [command](const metadata::Image& image) { return metadata::decide(image, command); },
      [&](const common::Result<metadata::NoOutcome>& changed) {
        CHECK(changed.ok(), "{}", changed.error().detail);
        done = true;
      });
  CHECK(world_.run_until([&] { return done; }));
}

void TestBroker::enroll(model::BrokerId id, const std::string& rack) {
  metadata::RegisterBroker registration;
  registration.broker.id = id;
  registration.broker.directory.bytes[0] = static_cast<std::uint8_t>(100 + id.value());
  registration.broker.endpoints = {{"kafka", fmt::format("broker-{}.test", id), 9092}};
  registration.broker.rack = rack;
  registration.broker.level_max = metadata::kFeatureLevelMax;
  change(registration);
}

void TestBroker::tell_outside(model::BrokerId id, std::vector<metadata::Endpoint> endpoints) {
  metadata::RegisterBroker registration{.broker = shard().image().brokers().at(id)};
  const auto main = *metadata::endpoint_named(registration.broker, metadata::kKafkaEndpoint);
  endpoints.insert(endpoints.begin(), main);
  registration.broker.endpoints = std::move(endpoints);
  change(registration);
}

TestBroker::~TestBroker() {
  stop();
}

void TestBroker::stop() {
  if (servers_.empty()) return;
  if (writer_ != nullptr) writer_->close();
  for (auto& shard : shards_) shard->close();
  world_.run_for(std::chrono::seconds(2));
  servers_.clear();
  world_.run_for(std::chrono::seconds(2));
  shards_[0]->set_metadata_writer(nullptr);
  writer_.reset();
  const common::RepliesMayDrop end_of_world;
  for (auto* loop : loops_) loop->stop();
  shards_.clear();
  disks_.clear();
}

Client TestBroker::connect(std::size_t shard, const std::string& listener) {
  auto [near, far] = make_wire(*loops_[shard]);
  servers_[shard]->accept(std::move(near), listener);
  return Client(*this, std::move(far));
}

model::TopicId TestBroker::create_topic(const std::string& name, std::int32_t partitions,
                                        std::vector<wire::CreateTopicsRequest::Config> configs) {
  wire::CreateTopicsRequest request;
  auto& topic = request.topics.emplace_back();
  topic.name = name;
  topic.num_partitions = partitions;
  topic.replication_factor = 1;
  topic.configs = std::move(configs);
  const auto response = connect().call(request);
  CHECK(response.topics.size() == 1 && response.topics[0].error_code == 0, "{}", response.debug());
  return response.topics[0].topic_id;
}

Bytes batch_of(const std::vector<std::string>& values, model::BatchOptions options,
               common::Timestamp first) {
  model::BatchBuilder builder(options);
  for (const std::string& value : values) {
    model::NewRecord record;
    record.timestamp = first;
    first = first + 1;
    record.value = common::as_bytes(value);
    builder.append(record);
  }
  return builder.build();
}

std::vector<std::string> values_in(const wire::Chunks& records) {
  std::vector<std::string> values;
  const Bytes all = records.joined();
  for (std::size_t at = 0; at < all.size();) {
    const auto batch = model::BatchView::parse(all.view().subspan(at)).value();
    model::RecordReader reader(batch.payload(), batch.record_count());
    while (const auto record = reader.next().value())
      values.emplace_back(common::as_text(record->value.value()));
    at += batch.size();
  }
  return values;
}

wire::ProduceRequest produce_request(const std::string& topic, const model::TopicId& id,
                                     std::int32_t partition, Bytes records, std::int16_t acks) {
  wire::ProduceRequest request;
  request.acks = acks;
  request.timeout_ms = 1000;
  auto& wanted = request.topic_data.emplace_back();
  wanted.name = topic;
  wanted.topic_id = id;
  auto& data = wanted.partition_data.emplace_back();
  data.index = partition;
  data.records = wire::Chunks(std::move(records));
  return request;
}

}  // namespace millrace::kafka::testing
