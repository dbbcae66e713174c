// Listeners for clients outside, on real sockets: brokers that learn where these find them while
// they run, and tell each of their clients the addresses of the listener that it came by.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <map>
#include <thread>

#include "broker/env/testing/both_worlds.h"
#include "broker/server/broker.h"
#include "broker/server/testing/broker_process.h"
#include "broker/server/testing/kafka_client.h"
#include "common/process/logging.h"

namespace millrace::server {
namespace {

using kafka::testing::batch_of;
using kafka::testing::produce_request;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::KafkaClient;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr std::size_t kBrokers = 3;
constexpr std::uint16_t kFirstInternalPort = 19'292;

/// What a client is told of brokers: their addresses by their ids.
using Told = std::map<std::int32_t, std::string>;

/// Whatever has to happen happens within two minutes, however busy the machine is.
template <typename Condition>
bool until(Condition condition) {
  constexpr int kLooksMax = 6000;
  for (int look = 0; look < kLooksMax; ++look) {
    if (condition()) return true;
    ::poll(nullptr, 0, 20);
  }
  return false;
}

class OutsideTest : public ::testing::Test {
 protected:
  OutsideTest() { process::set_up_logging("millrace", "text", "error"); }

  Options options(std::size_t node, std::size_t brokers) const {
    Options options;
    options.config = {{"data.dir", fmt::format("{}/{}", folder_.path(), node)},
                      {"node.id", std::to_string(node)},
                      {"cluster.id", "outside"},
                      {"shards", "2"},
                      {"journal.file.bytes", "8388608"},
                      {"journal.bytes.max", "33554432"},
                      {"kafka.outside.listen", fmt::format("office://{0}:0,club://{0}:0", host_)},
                      {"kafka.outside.addresses", file()}};
    for (const char* door : {"kafka", "grpc", "http"})
      options.config[fmt::format("{}.listen", door)] = host_ + ":0";
    if (brokers == 1) return options;
    for (std::size_t i = 0; i < brokers; ++i) {
      options.config["metadata.voters"] +=
          fmt::format("{}{}@{}:{}", i == 0 ? "" : ",", i, host_, kFirstInternalPort + i);
    }
    options.config["internal.listen"] = fmt::format("{}:{}", host_, kFirstInternalPort + node);
    return options;
  }
  void start(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) brokers_.push_back(Broker::create(options(i, count)));
    std::vector<std::thread> opening;
    for (const auto& broker : brokers_) {
      opening.emplace_back([&broker] {
        const auto opened = broker->open();
        CHECK(opened.ok(), "{}", opened.error().detail);
      });
    }
    for (std::thread& thread : opening) thread.join();
  }

  std::string file() const { return folder_.path() + "/addresses"; }
  void write(const std::string& text) const { std::ofstream(file()) << text; }
  env::Endpoint door(std::size_t broker, const std::string& name) const {
    const std::string line = brokers_[broker]->ready_line() + " ";
    const std::size_t at = line.find(" " + name + "=") + name.size() + 2;
    return env::Endpoint::parse(line.substr(at, line.find(' ', at) - at)).value();
  }
  static Told told(KafkaClient& client) {
    Told told;
    for (const auto& broker : client.call(all_topics()).brokers)
      told[broker.node_id] = fmt::format("{}:{}", broker.host, broker.port);
    return told;
  }
  Told told(std::size_t broker, const std::string& listener) const {
    KafkaClient client(door(broker, listener));
    return told(client);
  }
  /// Whether clients that come by this listener are told so by every broker.
  bool all_tell(const std::string& listener, const Told& wanted) const {
    for (std::size_t i = 0; i < brokers_.size(); ++i)
      if (told(i, listener) != wanted) return false;
    return true;
  }
  static wire::MetadataRequest all_topics() {
    wire::MetadataRequest request;
    request.topics.reset();
    return request;
  }
  /// A topic whose partition I is led by broker I.
  void create_topic(const std::string& name) const {
    wire::CreateTopicsRequest request;
    request.timeout_ms = 30'000;
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = topic.replication_factor = -1;
    for (std::size_t i = 0; i < brokers_.size(); ++i) {
      auto& assignment = topic.assignments.emplace_back();
      assignment.partition_index = static_cast<std::int32_t>(i);
      for (std::size_t r = 0; r < brokers_.size(); ++r)
        assignment.broker_ids.push_back(static_cast<std::int32_t>((i + r) % brokers_.size()));
    }
    const auto response = KafkaClient(door(0, "kafka")).call(request);
    ASSERT_EQ(response.topics.at(0).error_code, 0) << response.debug();
  }
  using Partition = wire::MetadataResponse::Partition;
  /// The partitions of the one topic, by their number, as `broker` tells of them by `listener`.
  std::vector<Partition> partitions(std::size_t broker, const std::string& listener) const {
    auto response = KafkaClient(door(broker, listener)).call(all_topics());
    if (response.topics.size() != 1) return {};
    auto partitions = std::move(response.topics[0].partitions);
    std::ranges::sort(partitions, {}, &Partition::partition_index);
    return partitions;
  }
  /// How many connections went to another shard so far.
  std::int64_t moves() const {
    testing::Socket page(door(0, "http"));
    page.send("GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    const std::string text = page.receive(1 << 20);
    const std::string name = "\nmillrace_kafka_connections_moved_total{";
    std::int64_t total = 0;
    for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1))
      total += std::stoll(text.substr(text.find("} ", at) + 2));
    return total;
  }
  model::TopicId topic_id() const {
    return KafkaClient(door(0, "kafka")).call(all_topics()).topics.at(0).topic_id;
  }

  env::testing::TemporaryFolder folder_;
  const std::string host_ = testing::own_address();
  std::vector<std::unique_ptr<Broker>> brokers_;
};

// Goal: addresses that become known after brokers have started, and change, are told by all of
// them to clients of that listener only; who has none is left out there. Method: three brokers, a
// file that comes late and without a line of broker 2 for one listener.
TEST_F(OutsideTest, BrokersLearnAndTellTheirAddressesWhileTheyRun) {
  start(kBrokers);
  Told inside;
  Told office;
  Told club;
  std::string lines;
  for (std::size_t i = 0; i < kBrokers; ++i) {
    const auto id = static_cast<std::int32_t>(i);
    inside[id] = door(i, "kafka").text();
    office[id] = door(i, "outside.office").text();
    club[id] = fmt::format("club-{}.example:9096", i);
    lines += fmt::format("club {} {}\n", i, club[id]);
    if (i != 2) lines += fmt::format("office {} {}\n", i, office[id]);
  }
  ASSERT_TRUE(until([&] { return all_tell("kafka", inside); }));
  create_topic("orders");
  EXPECT_THAT(told(0, "outside.office"), IsEmpty()) << "nobody knows yet";
  KafkaClient kept(door(1, "outside.office"));  // stays connected throughout

  write(lines);
  const std::string of_2 = office[2];
  office.erase(2);
  ASSERT_TRUE(until([&] { return all_tell("outside.office", office); }));
  ASSERT_TRUE(until([&] { return all_tell("outside.club", club); }));
  EXPECT_TRUE(all_tell("kafka", inside));

  // Broker 2 leads partition 2, and nobody from the office can go there.
  ASSERT_TRUE(until([&] {
    const auto seen = partitions(0, "outside.office");
    return seen.size() == kBrokers && seen[0].leader_id == 0 && seen[1].leader_id == 1 &&
           partitions(0, "kafka").at(2).leader_id == 2 && seen[2].isr_nodes.size() == kBrokers;
  }));
  const Partition lost = partitions(0, "outside.office").at(2);
  EXPECT_EQ(lost.error_code, model::kafka_number(model::ErrorCode::kListenerNotFound));
  EXPECT_EQ(lost.leader_id, -1);
  EXPECT_THAT(lost.offline_replicas, ElementsAre(2));
  EXPECT_EQ(partitions(0, "outside.club").at(2).leader_id, 2);

  // What is told can be gone to; who leads is hinted at with the address on the same listener.
  KafkaClient there(env::Endpoint::parse(office[1]).value());
  const auto write_to = [&](std::int32_t partition) {
    return there.call(produce_request("orders", topic_id(), partition, batch_of({"value"})));
  };
  EXPECT_EQ(write_to(1).responses.at(0).partition_responses.at(0).error_code, 0);
  const auto hint = write_to(0);
  ASSERT_EQ(hint.node_endpoints.size(), 1U) << hint.debug();
  EXPECT_EQ(fmt::format("{}:{}", hint.node_endpoints[0].host, hint.node_endpoints[0].port),
            office[0]);
  const auto mute = write_to(2);
  EXPECT_EQ(mute.responses.at(0).partition_responses.at(0).current_leader.leader_id, 2);
  EXPECT_THAT(mute.node_endpoints, IsEmpty());

  // The missing address comes, another one changes, and a listener loses all it had.
  office[2] = of_2;
  office[0] = "moved.example:31000";
  write(fmt::format("office 0 {}\noffice 1 {}\noffice 2 {}\n", office[0], office[1], office[2]));
  ASSERT_TRUE(until([&] { return all_tell("outside.office", office); }));
  EXPECT_EQ(told(kept), office);
  ASSERT_TRUE(until([&] { return all_tell("outside.club", {}); })) << "its lines are gone";
  EXPECT_TRUE(all_tell("kafka", inside));
}

// Goal: a connection that moves to another shard is told the same addresses. Method: two that
// write to one partition, so that one of them moves.
TEST_F(OutsideTest, AConnectionThatMovesKeepsItsListener) {
  write("office 0 office.example:31000\n");
  start(1);
  create_topic("orders");
  const Told wanted = {{0, "office.example:31000"}};
  KafkaClient first(door(0, "outside.office"));
  KafkaClient second(door(0, "outside.office"));
  constexpr int kRequests = 60;
  for (int i = 0; i < kRequests; ++i) {
    for (KafkaClient* const client : {&first, &second}) {
      const auto answer = client->call(produce_request("orders", topic_id(), 0, batch_of({"v"})));
      EXPECT_EQ(answer.responses.at(0).partition_responses.at(0).error_code, 0) << answer.debug();
    }
  }
  EXPECT_EQ(moves(), 1);
  EXPECT_EQ(told(first), wanted);
  EXPECT_EQ(told(second), wanted);
}

TEST_F(OutsideTest, SettingsThatDoNotFitAreRefusedBeforeAnythingIsOpen) {
  Options none = options(0, 1);
  none.config.erase("kafka.outside.addresses");
  const auto nameless = Broker::start(none);
  ASSERT_FALSE(nameless.ok());
  EXPECT_THAT(nameless.error().detail, HasSubstr("set kafka.outside.addresses to a file"));
  Options clash = options(0, 1);
  clash.config["grpc.listen"] = host_ + ":9095";
  clash.config["kafka.outside.listen"] = fmt::format("office://{}:9095", host_);
  const auto clashing = Broker::start(clash);
  ASSERT_FALSE(clashing.ok());
  EXPECT_THAT(clashing.error().detail, HasSubstr("port 9095, which grpc.listen has"));
}

TEST_F(OutsideTest, APortThatIsTakenIsNamedWithItsListener) {
  start(1);
  Options other = options(1, 1);
  other.config["kafka.outside.listen"] = "office://" + door(0, "http").text();
  const auto taken = Broker::start(other);
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().detail, HasSubstr("listener office of kafka.outside.listen: "));
}

}  // namespace
}  // namespace millrace::server
