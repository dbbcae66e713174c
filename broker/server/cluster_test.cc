// Real processes of the program that are one cluster, on loopback: that it forms, survives what
// processes die of, grows, and turns away who does not belong to it. What can go wrong in between
// is the simulator's business.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>

#include "broker/env/testing/both_worlds.h"
#include "broker/server/testing/broker_process.h"
#include "broker/server/testing/kafka_client.h"

namespace millrace::server {
namespace {

using kafka::testing::batch_of;
using kafka::testing::produce_request;
using kafka::testing::values_in;
using testing::BrokerProcess;
using ::testing::HasSubstr;
using testing::KafkaClient;

// Below those that the kernel hands out.
constexpr std::uint16_t kFirstKafkaPort = 19'092;
constexpr std::uint16_t kFirstInternalPort = 19'192;
constexpr int kExitCannotServe = 69;

/// Whatever has to happen happens within two minutes, however busy the machine is.
constexpr int kLooksMax = 6000;
constexpr int kLookIntervalMs = 20;  // not to keep the brokers from their work by asking

bool until(const std::function<bool()>& condition) {
  for (int look = 0; look < kLooksMax; ++look) {
    if (condition()) return true;
    ::poll(nullptr, 0, kLookIntervalMs);
  }
  return false;
}

class ClusterTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kBrokers = 3;

  std::string voters(std::size_t count) const {
    std::string all;
    for (std::size_t i = 0; i < count; ++i)
      all += fmt::format("{}{}@{}:{}", i == 0 ? "" : ",", i, host_, kFirstInternalPort + i);
    return all;
  }
  std::string data(std::size_t broker) const {
    return fmt::format("{}/broker-{}", folder_.path(), broker);
  }
  std::vector<std::string> command(std::size_t broker) const {
    return {MILLRACE_PROGRAM,
            "--data",
            data(broker),
            fmt::format("--node.id={}", broker),
            "--cluster.id=test",
            "--shards=2",
            "--default.replication.factor=-1",
            fmt::format("--kafka.listen={}:{}", host_, kFirstKafkaPort + broker),
            fmt::format("--internal.listen={}:{}", host_, kFirstInternalPort + broker),
            fmt::format("--grpc.listen={}:0", host_),
            fmt::format("--http.listen={}:0", host_)};
  }
  /// `voters`: of metadata.voters; 0: alone.
  void start(std::size_t broker, std::size_t voters_named = kBrokers) {
    auto all = command(broker);
    if (voters_named > 0) all.push_back("--metadata.voters=" + voters(voters_named));
    processes_[broker] = std::make_unique<BrokerProcess>(all, data(broker) + ".log");
  }
  void start_all() {
    for (std::size_t i = 0; i < kBrokers; ++i) start(i);
    for (std::size_t i = 0; i < kBrokers; ++i)
      ASSERT_TRUE(processes_[i]->ready()) << i << ": " << processes_[i]->said();
  }
  void kill(std::size_t broker) {
    processes_.at(broker)->signal(SIGKILL);
    EXPECT_EQ(processes_.at(broker)->wait(), 256 + SIGKILL);
    processes_.erase(broker);
  }
  /// As a supervisor does it.
  void stop(std::size_t broker) {
    processes_.at(broker)->signal(SIGTERM);
    EXPECT_EQ(processes_.at(broker)->wait(), 0) << processes_.at(broker)->said();
    processes_.erase(broker);
  }

  env::Endpoint kafka(std::size_t broker) const {
    return {host_, static_cast<std::uint16_t>(kFirstKafkaPort + broker)};
  }
  /// What any broker that runs knows.
  wire::MetadataResponse metadata(const std::string& topic) {
    wire::MetadataRequest request;
    request.topics.emplace();
    request.topics->emplace_back().name = topic;
    request.allow_auto_topic_creation = false;
    for (const auto& [broker, process] : processes_) {
      KafkaClient client(kafka(broker));
      if (!client.connected()) continue;
      client.send(request);
      if (auto response = client.receive<wire::MetadataRequest>()) return std::move(*response);
    }
    return {};
  }
  /// nullopt: nobody leads, or nobody knows who does.
  std::optional<std::size_t> leader(const std::string& topic, std::size_t partition = 0) {
    const auto response = metadata(topic);
    if (response.topics.empty() || response.topics[0].partitions.size() <= partition) return {};
    for (const auto& known : response.topics[0].partitions) {
      if (known.partition_index == static_cast<std::int32_t>(partition) && known.leader_id >= 0)
        return static_cast<std::size_t>(known.leader_id);
    }
    return {};
  }
  /// For a moment nobody may lead: a leadership goes back to a broker that was started again.
  std::size_t await_leader(const std::string& topic) {
    std::optional<std::size_t> found;
    EXPECT_TRUE(until([&] { return (found = leader(topic)).has_value(); })) << said();
    return found.value();
  }
  bool all_registered() { return metadata("").brokers.size() == kBrokers; }

  void create_topic(const std::string& name, std::int16_t replicas, int insync_min = 1) {
    wire::CreateTopicsRequest request;
    request.timeout_ms = 30'000;
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = 1;
    topic.replication_factor = replicas;
    topic.configs.push_back({.name = "min.insync.replicas", .value = std::to_string(insync_min)});
    const auto response = KafkaClient(kafka(processes_.begin()->first)).call(request);
    ASSERT_EQ(response.topics.at(0).error_code, 0) << response.debug();
  }

  /// Appends records with the next numbers in batches of one, as an idempotent producer does it:
  /// again and again until each is acknowledged by all.
  void produce(const std::string& topic, int count) {
    for (int i = 0; i < count; ++i)
      ASSERT_TRUE(until([&] { return try_to_produce(topic); })) << "record " << produced_ << said();
  }
  bool try_to_produce(const std::string& topic) {
    if (!producer_) {
      wire::InitProducerIdRequest init;
      init.transactional_id = std::nullopt;
      const auto given = KafkaClient(kafka(processes_.begin()->first)).call(init);
      if (given.error_code != 0) return false;
      producer_ = given.producer_id;
    }
    const auto home = leader(topic);
    if (!home || !processes_.contains(*home)) return false;
    KafkaClient client(kafka(*home));
    if (!client.connected()) return false;
    client.send(produce_request(
        topic, metadata(topic).topics.at(0).topic_id, 0,
        batch_of({std::to_string(produced_)}, {.producer_id = model::ProducerId{*producer_},
                                               .producer_epoch = 0,
                                               .base_sequence = produced_})));
    const auto response = client.receive<wire::ProduceRequest>();
    if (!response || response->responses.at(0).partition_responses.at(0).error_code != 0)
      return false;
    ++produced_;
    return true;
  }
  /// All records of a topic, from whoever leads it.
  std::vector<std::string> read(const std::string& topic) {
    std::vector<std::string> values;
    EXPECT_TRUE(until([&] {
      const auto home = leader(topic);
      if (!home || !processes_.contains(*home)) return false;
      KafkaClient client(kafka(*home));
      wire::FetchRequest request;
      request.max_wait_ms = 0;
      auto& wanted = request.topics.emplace_back();
      wanted.topic_id = metadata(topic).topics.at(0).topic_id;
      wanted.partitions.emplace_back().partition_max_bytes = 1 << 24;
      request.max_bytes = 1 << 24;
      client.send(request);
      const auto response = client.receive<wire::FetchRequest>();
      if (!response || response->responses.empty()) return false;
      const auto& partition = response->responses[0].partitions.at(0);
      if (partition.error_code != 0) return false;
      values = partition.records ? values_in(*partition.records) : std::vector<std::string>{};
      return true;
    })) << said();
    return values;
  }
  /// By all that run, for people.
  std::string said() const {
    std::string all;
    for (const auto& [broker, process] : processes_)
      all += fmt::format("\nbroker {}:\n{}", broker, process->said());
    return all;
  }
  std::vector<std::string> all_produced() const {
    std::vector<std::string> values;
    for (int i = 0; i < produced_; ++i) values.push_back(std::to_string(i));
    return values;
  }

  env::testing::TemporaryFolder folder_;
  const std::string host_ = testing::own_address();
  std::map<std::size_t, std::unique_ptr<BrokerProcess>> processes_;
  std::optional<std::int64_t> producer_;
  int produced_ = 0;
};

TEST_F(ClusterTest, SurvivesTheDeathAndTheEndOfLeaders) {
  start_all();
  create_topic("orders", 3);
  produce("orders", 20);
  const std::size_t first = await_leader("orders");
  kill(first);
  produce("orders", 20);
  start(first);
  ASSERT_TRUE(processes_[first]->ready()) << processes_[first]->said();
  const std::size_t second = await_leader("orders");
  stop(second);
  produce("orders", 20);
  EXPECT_EQ(read("orders"), all_produced());
}

TEST_F(ClusterTest, StartsAgainAfterAllHaveDied) {
  start_all();
  create_topic("orders", 3);
  produce("orders", 20);
  for (std::size_t i = 0; i < kBrokers; ++i) kill(i);
  start_all();
  EXPECT_EQ(read("orders"), all_produced());
  produce("orders", 1);
}

// With min.insync.replicas=3 nothing is acknowledged before the broker with the empty disk, which
// is another replica than the one before, votes in its place.
TEST_F(ClusterTest, BrokerThatLostItsDiskIsFilledAgain) {
  start_all();
  create_topic("orders", 3, 3);
  produce("orders", 20);
  const std::size_t lost = (await_leader("orders") + 1) % kBrokers;
  kill(lost);
  std::filesystem::remove_all(data(lost));
  start(lost);
  ASSERT_TRUE(processes_[lost]->ready()) << processes_[lost]->said();
  produce("orders", 20);
  kill((lost + 1) % kBrokers);
  EXPECT_EQ(read("orders"), all_produced());
}

TEST_F(ClusterTest, GrowsFromABrokerThatWasAlone) {
  start(0, 0);
  ASSERT_TRUE(processes_[0]->ready()) << processes_[0]->said();
  create_topic("old", 1);
  produce("old", 20);
  stop(0);
  for (std::size_t i = 0; i < kBrokers; ++i) start(i, 1);
  for (std::size_t i = 0; i < kBrokers; ++i)
    ASSERT_TRUE(processes_[i]->ready()) << processes_[i]->said();
  EXPECT_EQ(read("old"), all_produced());
  ASSERT_TRUE(until([this] { return all_registered(); }));
  producer_.reset();
  produced_ = 0;
  create_topic("new", 3, 3);
  produce("new", 20);
  EXPECT_EQ(read("new"), all_produced());

  // It has brought others in: alone it would go a way of its own.
  for (std::size_t i = 0; i < kBrokers; ++i) stop(i);
  start(0, 0);
  ASSERT_FALSE(processes_[0]->ready());
  EXPECT_EQ(processes_[0]->wait(), kExitCannotServe);
  EXPECT_THAT(processes_[0]->said(), HasSubstr("belongs to a cluster with broker 1"));
}

TEST_F(ClusterTest, WhoDoesNotBelongIsToldSo) {
  start_all();
  const auto foreigner = [this](const std::string& name, const std::vector<std::string>& more) {
    const std::string folder = folder_.path() + "/" + name;
    std::vector<std::string> all = {MILLRACE_PROGRAM, "--data", folder,
                                    "--metadata.voters=" + voters(kBrokers)};
    for (const char* door : {"kafka", "internal", "grpc", "http"})
      all.push_back(fmt::format("--{}.listen={}:0", door, host_));
    all.insert(all.end(), more.begin(), more.end());
    return std::make_unique<BrokerProcess>(all, folder + ".log");
  };
  const auto wrong_cluster = foreigner("a", {"--node.id=7", "--cluster.id=other"});
  const auto taken_node = foreigner("b", {"--node.id=1", "--cluster.id=test"});
  const auto nameless = foreigner("c", {"--node.id=7"});
  EXPECT_EQ(nameless->wait(), kExitCannotServe);
  EXPECT_THAT(nameless->said(), HasSubstr("cluster.id"));
  EXPECT_TRUE(until([&] {
    return wrong_cluster->said().find("you belong to cluster other") != std::string::npos &&
           taken_node->said().find("give one of the two another node id") != std::string::npos;
  }));
  // They wait for somebody to do something about it, and end when they are told to.
  for (const auto* process : {&wrong_cluster, &taken_node}) {
    (*process)->signal(SIGTERM);
    EXPECT_EQ((*process)->wait(), 0) << (*process)->said();
  }
  EXPECT_TRUE(all_registered());
}

}  // namespace
}  // namespace millrace::server
