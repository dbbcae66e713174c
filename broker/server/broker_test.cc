// A whole broker of two shards with real threads, sockets and files, all its doors in use at once.
// The thread sanitizer's stage runs it for what the simulator, with its one thread, cannot show.
#include "broker/server/broker.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "broker/env/testing/both_worlds.h"
#include "broker/kafka/testing/test_broker.h"
#include "broker/server/logging.h"
#include "broker/server/testing/kafka_client.h"
#include "broker/telemetry/testing/otlp_message.h"
#include "broker/wire/messages/all.h"
#include "common/process/logging.h"
#include "millrace/v1/admin.grpc.pb.h"
#include "millrace/v1/publisher.grpc.pb.h"
#include "millrace/v1/subscriber.grpc.pb.h"

namespace millrace::server {
namespace {

using kafka::testing::batch_of;
using kafka::testing::produce_request;
using kafka::testing::values_in;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::KafkaClient;
using testing::kAnswerMax;
using testing::Socket;

constexpr int kPartitions = 6;
constexpr int kProducers = 4;
constexpr int kBatchesPerProducer = 30;
constexpr int kRecordsPerBatch = 2;
constexpr int kPublished = 60;
constexpr int kRecords = kProducers * kBatchesPerProducer * kRecordsPerBatch + kPublished;
constexpr int kScrapes = 20;
constexpr int kPassingTopics = 8;

class BrokerTest : public ::testing::Test {
 protected:
  BrokerTest() {
    process::set_up_logging("millrace", "text", "error");
    start();
  }

  void start() {
    const auto options = read_options(
        {"--data", folder_.path() + "/data", "--shards=2", "--kafka.listen=127.0.0.1:0",
         "--internal.listen=127.0.0.1:0", "--grpc.listen=127.0.0.1:0", "--http.listen=127.0.0.1:0"},
        {});
    CHECK(options.ok(), "{}", options.error().detail);
    auto started = Broker::start(*options);
    CHECK(started.ok(), "{}", started.error().detail);
    broker_ = std::move(*started);
    kafka_ = door("kafka=");
    http_ = door("http=");
    channel_ = ::grpc::CreateChannel(door("grpc=").text(), ::grpc::InsecureChannelCredentials());
  }
  env::Endpoint door(const std::string& name) const {
    const std::string line = broker_->ready_line() + " ";
    const std::size_t at = line.find(name) + name.size();
    return env::Endpoint::parse(line.substr(at, line.find(' ', at) - at)).value();
  }
  static void set_deadline(::grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(kAnswerMax.tv_sec));
  }

  model::TopicId create_topic(const std::string& name, std::int32_t partitions) {
    wire::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = partitions;
    topic.replication_factor = 1;
    const auto response = KafkaClient(kafka_).call(request);
    EXPECT_EQ(response.topics.at(0).error_code, 0) << response.debug();
    return response.topics.at(0).topic_id;
  }
  std::string page(const std::string& path) {
    Socket socket(http_);
    socket.send(fmt::format("GET {} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path));
    return socket.receive(1 << 20);
  }
  wire::FetchRequest fetch_request(const std::vector<std::int64_t>& offsets, int wait_ms) const {
    wire::FetchRequest request;
    request.min_bytes = 1;
    request.max_wait_ms = wait_ms;
    auto& topic = request.topics.emplace_back();
    topic.topic_id = topic_;
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      auto& partition = topic.partitions.emplace_back();
      partition.partition = static_cast<std::int32_t>(i);
      partition.fetch_offset = offsets[i];
      partition.partition_max_bytes = 1 << 20;
    }
    return request;
  }

  static v1::ReadRequest read_request() {
    v1::ReadRequest request;
    request.set_topic("orders");
    request.mutable_start()->set_earliest(true);
    return request;
  }

  void produce(int number);
  void consume();
  void publish();
  void subscribe();
  void change_topics();
  void scrape();
  std::int64_t records_there();
  std::int64_t moves();

  env::testing::TemporaryFolder folder_;
  std::unique_ptr<Broker> broker_;
  env::Endpoint kafka_;
  env::Endpoint http_;
  std::shared_ptr<::grpc::Channel> channel_;
  model::TopicId topic_;
};

/// An idempotent producer that goes round the partitions, as many shards as there are.
void BrokerTest::produce(int number) {
  KafkaClient client(kafka_);
  wire::InitProducerIdRequest init;
  init.transactional_id = std::nullopt;
  const auto producer = client.call(init);
  ASSERT_EQ(producer.error_code, 0);
  std::map<std::int32_t, std::int32_t> sequences;
  for (int i = 0; i < kBatchesPerProducer; ++i) {
    const std::int32_t partition = (number + i) % kPartitions;
    std::vector<std::string> values;
    for (int record = 0; record < kRecordsPerBatch; ++record)
      values.push_back(fmt::format("{}:{}", number, i * kRecordsPerBatch + record));
    const common::Bytes batch =
        batch_of(values, {.producer_id = model::ProducerId{producer.producer_id},
                          .producer_epoch = producer.producer_epoch,
                          .base_sequence = sequences[partition]});
    sequences[partition] += kRecordsPerBatch;
    const auto response = client.call(produce_request("orders", topic_, partition, batch));
    ASSERT_EQ(response.responses.at(0).partition_responses.at(0).error_code, 0) << response.debug();
  }
}

/// Reads every partition until all records came; each producer's in order.
void BrokerTest::consume() {
  KafkaClient client(kafka_);
  std::vector<std::int64_t> offsets(kPartitions, 0);
  std::map<std::pair<std::int32_t, std::string>, int> latest;
  int seen = 0;
  while (seen < kRecords) {
    const auto response = client.call(fetch_request(offsets, 200));
    ASSERT_TRUE(response.error_code == 0 && !HasFailure()) << response.debug();
    for (const auto& topic : response.responses) {
      for (const auto& partition : topic.partitions) {
        ASSERT_EQ(partition.error_code, 0) << response.debug();
        if (!partition.records) continue;
        for (const std::string& value : values_in(*partition.records)) {
          const std::size_t colon = value.find(':');
          const auto key = std::pair(partition.partition_index, value.substr(0, colon));
          const int number = std::stoi(value.substr(colon + 1));
          EXPECT_TRUE(!latest.contains(key) || latest[key] < number) << value;
          latest[key] = number;
          ++offsets[static_cast<std::size_t>(partition.partition_index)];
          ++seen;
        }
      }
    }
  }
  EXPECT_EQ(seen, kRecords);
}

void BrokerTest::publish() {
  const auto stub = v1::Publisher::NewStub(channel_);
  for (int i = 0; i < kPublished; ++i) {
    ::grpc::ClientContext context;
    set_deadline(context);
    v1::PublishRequest request;
    request.set_topic("orders");
    auto& record = *request.add_records();
    record.set_value(fmt::format("grpc:{}", i));
    record.set_partition(i % kPartitions);
    v1::PublishResponse response;
    const ::grpc::Status status = stub->Publish(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.positions(0).error(), "");
  }
}

void BrokerTest::subscribe() {
  const auto stub = v1::Subscriber::NewStub(channel_);
  ::grpc::ClientContext context;
  set_deadline(context);
  v1::ReadRequest request = read_request();
  request.set_records_max(kRecords);
  const auto stream = stub->Read(&context, request);
  std::set<std::pair<std::int32_t, std::int64_t>> seen;
  v1::ReadResponse response;
  while (stream->Read(&response)) {
    for (const v1::Record& record : response.records())
      EXPECT_TRUE(seen.emplace(record.partition(), record.offset()).second) << "came twice";
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kRecords));
}

/// Topics come, change and go: what every shard's image and stores follow.
void BrokerTest::change_topics() {
  KafkaClient client(kafka_);
  for (int i = 0; i < kPassingTopics; ++i) {
    const std::string name = fmt::format("passing-{}", i);
    const model::TopicId id = create_topic(name, 3);
    const auto written = client.call(produce_request(name, id, i % 3, batch_of({"v"})));
    EXPECT_EQ(written.responses.at(0).partition_responses.at(0).error_code, 0);
    wire::IncrementalAlterConfigsRequest alter;
    auto& resource = alter.resources.emplace_back();
    resource.resource_type = 2;  // a topic
    resource.resource_name = name;
    auto& config = resource.configs.emplace_back();
    config.name = "retention.ms";
    config.value = "1000";
    EXPECT_EQ(client.call(alter).responses.at(0).error_code, 0);
    wire::MetadataRequest metadata;
    metadata.topics->emplace_back().name = name;
    EXPECT_EQ(client.call(metadata).topics.at(0).partitions.size(), 3u);
    wire::DeleteTopicsRequest remove;
    remove.topics.emplace_back().name = name;
    EXPECT_EQ(client.call(remove).responses.at(0).error_code, 0);
  }
}

void BrokerTest::scrape() {
  for (int i = 0; i < kScrapes; ++i) {
    EXPECT_THAT(page("/metrics"), HasSubstr("millrace_"));
    EXPECT_THAT(page("/readyz"), HasSubstr("200 OK"));
  }
}

std::int64_t BrokerTest::records_there() {
  wire::ListOffsetsRequest request;
  auto& topic = request.topics.emplace_back();
  topic.name = "orders";
  for (std::int32_t i = 0; i < kPartitions; ++i) {
    auto& partition = topic.partitions.emplace_back();
    partition.partition_index = i;
    partition.timestamp = -1;  // latest
  }
  const auto response = KafkaClient(kafka_).call(request);
  std::int64_t total = 0;
  for (const auto& partition : response.topics.at(0).partitions) total += partition.offset;
  return total;
}

// Goal: no data race anywhere between the shards and the doors, and nothing lost. Method: producers
// and consumers of both protocols, topics that come and go and scrapes, all at once; a stop with
// calls under way; a second start.
TEST_F(BrokerTest, AllDoorsAtOnceThenStopAndStart) {
  topic_ = create_topic("orders", kPartitions);
  std::vector<std::thread> clients;
  for (int i = 0; i < kProducers; ++i) clients.emplace_back([this, i] { produce(i); });
  clients.emplace_back([this] { consume(); });
  clients.emplace_back([this] { consume(); });
  clients.emplace_back([this] { publish(); });
  clients.emplace_back([this] { subscribe(); });
  clients.emplace_back([this] { change_topics(); });
  clients.emplace_back([this] { scrape(); });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(records_there(), kRecords);

  broker_->stop();
  broker_.reset();
  start();
  EXPECT_EQ(records_there(), kRecords);
}

std::int64_t BrokerTest::moves() {
  const std::string text = page("/metrics");
  const std::string name = "\nmillrace_kafka_connections_moved_total{";
  std::int64_t total = 0;
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1))
    total += std::stoll(text.substr(text.find("} ", at) + 2));
  return total;
}

// Goal: a connection that writes to one partition ends up on its shard, once; one that changes
// between shards comes to rest; every request is answered, in order, whatever moves meanwhile.
// Method: several clients per partition of two shards at once, then one that takes turns.
TEST_F(BrokerTest, ConnectionsMoveToWhereTheirPartitionLives) {
  topic_ = create_topic("orders", kPartitions);
  constexpr int kClients = 8;
  constexpr int kRequests = 60;
  const auto write = [this](KafkaClient& client, std::int32_t partition) {
    const auto answer =
        client.call(produce_request("orders", topic_, partition, batch_of({"value"})));
    EXPECT_EQ(answer.responses.at(0).partition_responses.at(0).error_code, 0) << answer.debug();
  };
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this, i, &write] {
      KafkaClient client(kafka_);
      for (int sent = 0; sent < kRequests; ++sent) write(client, i % 2 == 0 ? 0 : i % kPartitions);
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(records_there(), kClients * kRequests);
  EXPECT_LE(moves(), kClients);

  // Connections go to the shards in turn: of two that write to one partition, one has to move.
  const std::int64_t before = moves();
  KafkaClient first(kafka_);
  KafkaClient second(kafka_);
  for (int sent = 0; sent < kRequests; ++sent) {
    write(first, 0);
    write(second, 0);
  }
  EXPECT_EQ(moves(), before + 1);

  constexpr int kMovesMax = 6;
  for (int sent = 0; sent < 50 * kRequests; ++sent) write(first, sent / kRequests % kPartitions);
  EXPECT_LE(moves(), before + 1 + kMovesMax);
}

// Goal: so do connections of members to the shard of their group's coordinator.
TEST_F(BrokerTest, ConnectionsMoveToWhereTheirGroupLives) {
  const auto commit = [this](KafkaClient& client, const std::string& group) {
    wire::OffsetCommitRequest request;
    request.group_id = group;
    request.generation_id_or_member_epoch = -1;
    auto& topic = request.topics.emplace_back();
    topic.topic_id = topic_;
    topic.partitions.emplace_back().committed_offset = 1;
    const auto answer = client.call(request);
    return answer.topics.at(0).partitions.at(0).error_code;
  };
  topic_ = create_topic("orders", kPartitions);
  const std::int64_t before = moves();
  KafkaClient first(kafka_);
  KafkaClient second(kafka_);
  constexpr int kCommits = 40;
  wire::FindCoordinatorRequest find;  // makes __consumer_offsets
  find.coordinator_keys = {"till"};
  EXPECT_EQ(first.call(find).coordinators.at(0).error_code, 0);
  for (int sent = 0; sent < kCommits; ++sent) {
    EXPECT_EQ(commit(first, "till"), 0);
    EXPECT_EQ(commit(second, "till"), 0);
  }
  EXPECT_EQ(moves(), before + 1) << "one of two was on the other shard";
}

// Goal: a stop while connections are between two shards ends each of them.
TEST_F(BrokerTest, StopsWhileConnectionsMove) {
  topic_ = create_topic("orders", kPartitions);
  constexpr int kClients = 8;
  // About where connections move, sooner or later from one round to the next.
  for (const int requests_each : {12, 14, 15, 16, 17, 20}) {
    std::atomic<int> answered{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([this, i, &answered, client = std::make_unique<KafkaClient>(kafka_)] {
        do {
          client->send(produce_request("orders", topic_, i % kPartitions, batch_of({"value"})));
          ++answered;
        } while (client->receive<wire::ProduceRequest>().has_value());
      });
    }
    while (answered < kClients * requests_each) std::this_thread::yield();
    broker_->stop();
    for (std::thread& client : clients) client.join();
    broker_.reset();
    start();
  }
}

// Goal: a stop ends what waits. Method: a fetch and a stream at the end of a topic, both of which
// were answered once, wait for records that never come.
TEST_F(BrokerTest, StopsWhileClientsWait) {
  topic_ = create_topic("orders", kPartitions);
  KafkaClient warm(kafka_);
  EXPECT_EQ(warm.call(produce_request("orders", topic_, 0, batch_of({"0:0"})))
                .responses.at(0)
                .partition_responses.at(0)
                .error_code,
            0);
  const auto stub = v1::Subscriber::NewStub(channel_);
  ::grpc::ClientContext context;
  set_deadline(context);
  const v1::ReadRequest request = read_request();
  const auto stream = stub->Read(&context, request);
  v1::ReadResponse first;
  ASSERT_TRUE(stream->Read(&first));
  EXPECT_EQ(first.records_size(), 1);

  KafkaClient fetching(kafka_);
  std::vector<std::int64_t> ends(kPartitions, 0);
  ends[0] = 1;
  fetching.send(fetch_request(ends, kAnswerMax.tv_sec * 1000));
  Socket idle(kafka_);
  broker_->stop();
  // An early answer without records, or the end of the connection.
  const auto fetched = fetching.receive<wire::FetchRequest>();
  EXPECT_TRUE(!fetched.has_value() || fetched->error_code == 0);
  EXPECT_EQ(idle.receive(1), "") << "what nobody asked for";
  v1::ReadResponse second;
  EXPECT_FALSE(stream->Read(&second));
  EXPECT_FALSE(stream->Finish().ok());
}

// Goal: metrics that a client pushes are shown, with its name. Method: a subscription, a push, a
// scrape.
TEST_F(BrokerTest, MetricsOfClientsAreShown) {
  KafkaClient client(kafka_);
  wire::IncrementalAlterConfigsRequest alter;
  auto& resource = alter.resources.emplace_back();
  resource.resource_type = 16;  // client metrics
  resource.resource_name = "all";
  resource.configs.push_back({"metrics", 0, "*"});
  ASSERT_EQ(client.call(alter).responses.at(0).error_code, 0);
  const auto granted = client.call(wire::GetTelemetrySubscriptionsRequest{});
  EXPECT_THAT(granted.requested_metrics, ElementsAre("*"));
  telemetry::testing::OtlpMessage message;
  message.gauge("queue", 7, {{"topic", "t"}}).sum("sent", 5);
  const auto pushed = client.call(wire::PushTelemetryRequest{
      granted.client_instance_id, granted.subscription_id, false, 0, message.bytes()});
  ASSERT_EQ(pushed.error_code, 0);
  const std::string metrics = page("/metrics");
  EXPECT_THAT(metrics, HasSubstr("millrace_client_metric{metric=\"queue\",client_id="));
  EXPECT_THAT(metrics, HasSubstr(",topic=\"t\"} 7\n"));
  EXPECT_THAT(metrics, HasSubstr("millrace_client_metric_total{metric=\"sent\""));
  EXPECT_THAT(metrics, HasSubstr(granted.client_instance_id.text()));
}

// Goal: Kafka's tools see and set the level of the real log. Method: set it, look at the logger.
TEST_F(BrokerTest, TheLogsLevelIsSetThroughKafka) {
  KafkaClient client(kafka_);
  wire::IncrementalAlterConfigsRequest alter;
  auto& resource = alter.resources.emplace_back();
  resource.resource_type = 8;  // loggers
  resource.resource_name = "0";
  for (const char* const level : {"FATAL", "TRACE", "ERROR"}) {
    resource.configs = {{"root", 0, level}};
    const auto altered = client.call(alter);
    ASSERT_EQ(altered.responses.at(0).error_code, 0) << altered.debug();
    EXPECT_EQ(ProcessLoggers().levels().at("root"), level);
  }
}

}  // namespace
}  // namespace millrace::server
