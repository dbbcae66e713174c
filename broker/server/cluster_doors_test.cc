// Three whole brokers on real disks and real sockets: whichever of them a gRPC client has come to,
// it gets everything.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <thread>

#include "broker/server/testing/group_streams.h"

namespace millrace::server {
namespace {

using ::grpc::Status;
using ::grpc::StatusCode;
using testing::address_of;
using testing::Call;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Member;
using ::testing::SizeIs;

constexpr std::size_t kBrokers = 3;
constexpr std::int32_t kPartitions = 6;

/// A port of the loopback that nobody listens on now.
std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(socket >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  CHECK(::bind(socket, generic, size) == 0 && ::getsockname(socket, generic, &size) == 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

class ClusterDoors : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_.emplace();
    std::vector<std::uint16_t> ports;
    std::string voters;
    for (std::size_t i = 0; i < kBrokers; ++i) {
      ports.push_back(free_port());
      voters += (i > 0 ? "," : "") + std::to_string(i) + "@127.0.0.1:" + std::to_string(ports[i]);
    }
    for (std::size_t i = 0; i < kBrokers; ++i)
      brokers_.push_back(Broker::create(options(i, ports[i], voters)));
    std::vector<std::thread> opening;
    for (auto& broker : brokers_) {
      opening.emplace_back([&broker] {
        const auto opened = broker->open();
        CHECK(opened.ok(), "{}", opened.error().detail);
      });
    }
    for (std::thread& thread : opening) thread.join();
    for (const auto& broker : brokers_) {
      const auto channel = ::grpc::CreateChannel(address_of(broker->ready_line(), "grpc"),
                                                 ::grpc::InsecureChannelCredentials());
      admins_.push_back(v1::Admin::NewStub(channel));
      publishers_.push_back(v1::Publisher::NewStub(channel));
      subscribers_.push_back(v1::Subscriber::NewStub(channel));
    }
    CHECK(until([] { return health(0).health() == v1::HEALTH_GREEN; }), "never green");
  }
  static void TearDownTestSuite() {
    subscribers_.clear();
    publishers_.clear();
    admins_.clear();
    for (auto& broker : brokers_)
      if (broker != nullptr) broker->stop();
    brokers_.clear();
    folder_.reset();
  }
  static Options options(std::size_t node, std::uint16_t port, const std::string& voters) {
    Options options;
    options.config = {{"data.dir", folder_->path() + "/" + std::to_string(node)},
                      {"node.id", std::to_string(node)},
                      {"cluster.id", "doors"},
                      {"metadata.voters", voters},
                      {"internal.listen", "127.0.0.1:" + std::to_string(port)},
                      {"shards", "2"},
                      {"kafka.listen", "127.0.0.1:0"},
                      {"grpc.listen", "127.0.0.1:0"},
                      {"http.listen", "127.0.0.1:0"},
                      {"journal.file.bytes", "8388608"},
                      {"journal.bytes.max", "33554432"},
                      {"offsets.topic.num.partitions", "3"},
                      {"group.consumer.heartbeat.interval.ms", "500"},
                      {"group.consumer.assignment.interval.ms", "0"}};
    return options;
  }

  /// Looks again and again; each look is a call. False: it did not come true in time.
  template <typename Condition>
  static bool until(Condition condition) {
    constexpr int kLooksMax = 50'000;
    for (int looks = 0; looks < kLooksMax; ++looks) {
      if (condition()) return true;
    }
    return false;
  }
  static v1::ClusterHealthResponse health(std::size_t broker) {
    v1::ClusterHealthResponse response;
    Call call;
    const Status status = admins_[broker]->ClusterHealth(&call, {}, &response);
    CHECK(status.ok(), "{}", status.error_message());
    return response;
  }
  /// A topic of this test alone, whose partitions are led by all brokers in turn.
  static std::string make_topic(std::size_t broker = 0) {
    static int made = 0;
    v1::CreateTopicRequest request;
    request.set_name("topic-" + std::to_string(++made));
    request.set_partitions(kPartitions);
    v1::CreateTopicResponse response;
    Call call;
    const Status status = admins_[broker]->CreateTopic(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
    CHECK(response.replication_factor() == 3);
    CHECK(until([&] {
      std::size_t known = 0;
      for (std::size_t i = 0; i < kBrokers; ++i)
        known += brokers_[i] == nullptr || partitions(i, request.name()).size() == kPartitions;
      return known == kBrokers;
    }));
    return request.name();
  }
  static std::vector<v1::PartitionHealth> partitions(std::size_t broker, const std::string& topic) {
    v1::ListPartitionsRequest request;
    request.set_topic(topic);
    v1::ListPartitionsResponse response;
    Call call;
    if (!admins_[broker]->ListPartitions(&call, request, &response).ok()) return {};
    return {response.partitions().begin(), response.partitions().end()};
  }
  /// One record to each partition.
  static Status publish(std::size_t broker, const std::string& topic, const std::string& value) {
    v1::PublishRequest request;
    request.set_topic(topic);
    for (std::int32_t i = 0; i < kPartitions; ++i) {
      auto& record = *request.add_records();
      record.set_partition(i);
      record.set_value(value);
    }
    v1::PublishResponse response;
    Call call;
    const Status status = publishers_[broker]->Publish(&call, request, &response);
    for (const v1::RecordPosition& position : response.positions()) {
      if (!position.error().empty()) return {StatusCode::UNKNOWN, position.error_message()};
    }
    return status;
  }
  /// How often each value is there.
  static std::map<std::string, std::size_t> read(std::size_t broker, const std::string& topic) {
    v1::ReadRequest request;
    request.set_topic(topic);
    request.mutable_start()->set_earliest(true);
    request.set_until_end(true);
    Call call;
    const auto stream = subscribers_[broker]->Read(&call, request);
    std::map<std::string, std::size_t> values;
    v1::ReadResponse response;
    while (stream->Read(&response)) {
      for (const v1::Record& record : response.records()) ++values[record.value()];
    }
    const Status status = stream->Finish();
    CHECK(status.ok(), "{}", status.error_message());
    return values;
  }

  static inline std::optional<env::testing::TemporaryFolder> folder_;
  static inline std::vector<std::unique_ptr<Broker>> brokers_;
  static inline std::vector<std::unique_ptr<v1::Admin::Stub>> admins_;
  static inline std::vector<std::unique_ptr<v1::Publisher::Stub>> publishers_;
  static inline std::vector<std::unique_ptr<v1::Subscriber::Stub>> subscribers_;
};

TEST_F(ClusterDoors, EveryBrokerKnowsTheCluster) {
  for (std::size_t broker = 0; broker < kBrokers; ++broker) {
    v1::DescribeClusterResponse response;
    Call call;
    ASSERT_TRUE(admins_[broker]->DescribeCluster(&call, {}, &response).ok());
    EXPECT_EQ(response.cluster_id(), "doors");
    EXPECT_EQ(response.answered_by(), static_cast<std::int32_t>(broker));
    ASSERT_EQ(response.brokers_size(), 3);
    EXPECT_GE(response.controller(), 0);
    EXPECT_GE(response.feature_level(), 1);
    for (const v1::Broker& one : response.brokers()) {
      EXPECT_TRUE(one.alive());
      EXPECT_TRUE(one.metadata_voter());
      EXPECT_EQ(one.state(), v1::BROKER_STATE_ACTIVE);
      EXPECT_THAT(one.grpc_endpoint(), HasSubstr("127.0.0.1:"));
    }
    // The operator shows it as the cluster's version.
    const v1::ClusterHealthResponse told = health(broker);
    for (const v1::Broker& one : told.broker_states())
      EXPECT_EQ(one.version().empty(), one.id() != static_cast<std::int32_t>(broker));
  }
}

TEST_F(ClusterDoors, RecordsAreTakenAndReadAtAnyBroker) {
  const std::string topic = make_topic(1);
  for (std::size_t broker = 0; broker < kBrokers; ++broker)
    EXPECT_TRUE(publish(broker, topic, "from-" + std::to_string(broker)).ok());
  for (std::size_t broker = 0; broker < kBrokers; ++broker) {
    const auto values = read(broker, topic);
    EXPECT_THAT(values, SizeIs(3));
    for (const auto& [value, times] : values) EXPECT_EQ(times, 6u) << value;
  }
}

TEST_F(ClusterDoors, AReaderWaitsForWhatComesAnywhere) {
  const std::string topic = make_topic();
  v1::ReadRequest request;
  request.set_topic(topic);
  request.mutable_start()->set_earliest(true);
  request.set_records_max(2 * kPartitions);
  Call call;
  const auto stream = subscribers_[2]->Read(&call, request);
  ASSERT_TRUE(publish(0, topic, "first").ok());
  std::size_t records = 0;
  v1::ReadResponse response;
  while (records < kPartitions && stream->Read(&response))
    records += static_cast<std::size_t>(response.records_size());
  ASSERT_TRUE(publish(1, topic, "second").ok());
  while (stream->Read(&response)) records += static_cast<std::size_t>(response.records_size());
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(records, 2u * kPartitions);
}

TEST_F(ClusterDoors, MembersOfOneGroupMaySitAtDifferentBrokers) {
  const std::string topic = make_topic();
  ASSERT_TRUE(publish(0, topic, "a").ok());
  const std::string group = "spread";
  Member one(*subscribers_[0]);
  one.join(group, topic);
  ASSERT_TRUE(one.until([&] { return one.records.size() == kPartitions; }));
  for (std::size_t broker = 0; broker < kBrokers; ++broker) {
    v1::DescribeGroupRequest request;
    request.set_name(group);
    v1::DescribeGroupResponse response;
    Call call;
    const Status status = admins_[broker]->DescribeGroup(&call, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.group().members(), 1);
    v1::ListGroupsResponse groups;
    Call listing;
    ASSERT_TRUE(admins_[broker]->ListGroups(&listing, {}, &groups).ok());
    ASSERT_EQ(groups.groups_size(), 1);
    EXPECT_EQ(groups.groups(0).name(), group);
  }
  one.commit(
      {{topic, 0, 1}, {topic, 1, 1}, {topic, 2, 1}, {topic, 3, 1}, {topic, 4, 1}, {topic, 5, 1}},
      1);
  ASSERT_TRUE(one.until([&] { return one.commits.size() == 1; }));
  EXPECT_TRUE(one.leave(true).ok());
  Member two(*subscribers_[1]);
  Member three(*subscribers_[2]);
  two.join(group, topic);
  ASSERT_TRUE(two.until([&] { return two.has.size() == kPartitions; }));
  EXPECT_THAT(two.records, IsEmpty()) << "all was committed";
  three.join(group, topic);
  std::thread giving([&] { two.until([&] { return two.has.size() == kPartitions / 2; }); });
  EXPECT_TRUE(three.until([&] { return three.has.size() == kPartitions / 2; }));
  giving.join();
  EXPECT_TRUE(two.leave(true).ok());
  EXPECT_TRUE(three.leave(true).ok());
  v1::DeleteGroupRequest request;
  request.set_name(group);
  v1::DeleteGroupResponse response;
  Call call;
  EXPECT_TRUE(admins_[2]->DeleteGroup(&call, request, &response).ok());
}

TEST_F(ClusterDoors, WhatBelongsToOneBrokerIsAskedOfIt) {
  for (std::int32_t asked = 0; asked < 3; ++asked) {
    v1::DescribeConfigsRequest request;
    request.set_type(v1::RESOURCE_TYPE_BROKER);
    request.set_name(std::to_string(asked));
    request.add_keys("node.id");
    v1::DescribeConfigsResponse response;
    Call call;
    const Status status = admins_[0]->DescribeConfigs(&call, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.configs_size(), 1);
    EXPECT_EQ(response.configs(0).value(), std::to_string(asked));
    v1::ExplainRequest why;
    why.set_broker(asked);
    v1::ExplainResponse explained;
    Call explaining;
    ASSERT_TRUE(admins_[0]->Explain(&explaining, why, &explained).ok());
    EXPECT_THAT(explained.summary(), HasSubstr("broker " + std::to_string(asked) + ": "));
  }
}

TEST_F(ClusterDoors, LeadersAndReplicasAreMoved) {
  const std::string topic = make_topic();
  const v1::PartitionHealth before = partitions(0, topic).at(0);
  v1::TransferLeaderRequest request;
  request.set_topic(topic);
  request.set_partition(0);
  request.set_broker(before.replicas(1));
  Status status;
  v1::TransferLeaderResponse response;
  ASSERT_TRUE(until([&] {
    Call call;
    status = admins_[2]->TransferLeader(&call, request, &response);
    return status.ok();
  })) << status.error_message();
  EXPECT_EQ(response.leader(), before.replicas(1));
  v1::MovePartitionRequest move;
  move.set_topic(topic);
  move.set_partition(1);
  for (int i = 2; i >= 0; --i) move.add_replicas(partitions(0, topic).at(1).replicas(i));
  v1::MovePartitionResponse moved;
  Call moving;
  status = admins_[1]->MovePartition(&moving, move, &moved);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(until([&] {
    const v1::PartitionHealth now = partitions(1, topic).at(1);
    return now.target().empty() && now.replicas(0) == move.replicas(0);
  }));
  move.clear_replicas();
  move.add_replicas(0);
  Call fewer;
  status = admins_[1]->MovePartition(&fewer, move, &moved);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(fewer.error_name(), "INVALID_REPLICATION_FACTOR");
}

TEST_F(ClusterDoors, OneBrokerMayStopAndNotTwo) {
  make_topic();
  const auto ask = [](std::size_t broker, std::int32_t about) {
    v1::AcquireRestartPermitRequest request;
    request.set_broker(about);
    v1::AcquireRestartPermitResponse response;
    Call call;
    const Status status = admins_[broker]->AcquireRestartPermit(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
    return response;
  };
  ASSERT_TRUE(until([&] { return ask(0, 1).granted(); })) << ask(0, 1).reason();
  EXPECT_GT(ask(0, 1).permit().expires_at_ms(), 1'700'000'000'000);
  const auto refused = ask(2, 2);
  EXPECT_FALSE(refused.granted());
  EXPECT_THAT(refused.reason(), HasSubstr("could not go on without it"));
  EXPECT_GT(refused.blocked_partitions(), 0);
  ASSERT_GT(refused.blockers_size(), 0);
  EXPECT_THAT(refused.blockers(0).missing(), Contains(1));
  v1::ReleaseRestartPermitRequest request;
  request.set_broker(1);
  v1::ReleaseRestartPermitResponse response;
  Call call;
  ASSERT_TRUE(admins_[2]->ReleaseRestartPermit(&call, request, &response).ok());
  EXPECT_TRUE(response.released());
  EXPECT_TRUE(until([&] { return ask(2, 2).granted(); }));
  request.set_broker(2);
  Call again;
  EXPECT_TRUE(admins_[0]->ReleaseRestartPermit(&again, request, &response).ok());
}

TEST_F(ClusterDoors, RefusalsSayWhatToDo) {
  make_topic();
  v1::DrainBrokerRequest drain;
  drain.set_broker(1);
  v1::DrainBrokerResponse draining;
  Call call;
  Status status = admins_[0]->DrainBroker(&call, drain, &draining);
  EXPECT_EQ(call.error_name(), "INVALID_REPLICATION_FACTOR");
  EXPECT_THAT(status.error_message(), HasSubstr("has 3 replicas"));
  drain.set_broker(9);
  Call unknown;
  EXPECT_EQ(admins_[0]->DrainBroker(&unknown, drain, &draining).error_code(),
            StatusCode::NOT_FOUND);
  v1::DecommissionBrokerRequest gone;
  gone.set_broker(1);
  v1::DecommissionBrokerResponse receipt;
  Call early;
  status = admins_[2]->DecommissionBroker(&early, gone, &receipt);
  EXPECT_THAT(status.error_message(), HasSubstr("is not drained and empty"));
  v1::RecoverPartitionRequest recover;
  recover.set_topic("topic-1");
  v1::RecoverPartitionResponse recovered;
  Call unsaid;
  EXPECT_EQ(admins_[0]->RecoverPartition(&unsaid, recover, &recovered).error_code(),
            StatusCode::FAILED_PRECONDITION);
  recover.set_accept_data_loss(true);
  Call needless;
  status = admins_[0]->RecoverPartition(&needless, recover, &recovered);
  EXPECT_EQ(needless.error_name(), "ELECTION_NOT_NEEDED");
  EXPECT_THAT(status.error_message(), HasSubstr("nothing has to be given up"));
}

TEST_F(ClusterDoors, MetricsTellOfTheOthers) {
  httplib::Client client("http://" + address_of(brokers_[1]->ready_line(), "http"));
  std::string metrics;
  // New partitions have leaders in a moment.
  ASSERT_TRUE(until([&] {
    const auto answer = client.Get("/metrics");
    metrics = answer ? answer->body : std::string();
    return metrics.find("\nmillrace_partitions_offline 0\n") != std::string::npos;
  }));
  for (const char* line :
       {"\nmillrace_broker_alive{broker=\"2\"} 1", "\nmillrace_metadata_leader_known 1",
        "\nmillrace_mesh_sent_bytes_total{shard=\"1\"} ", "\nmillrace_heartbeats_received_total ",
        "\nmillrace_replicas{shard=\"0\"} "}) {
    EXPECT_THAT(metrics, HasSubstr(line));
  }
}

// The last one: a broker leaves.
TEST_F(ClusterDoors, WithoutOneBrokerTheOthersGoOn) {
  const std::string topic = make_topic();
  brokers_[2]->stop();
  brokers_[2].reset();
  EXPECT_TRUE(publish(0, topic, "after").ok());
  EXPECT_TRUE(publish(1, topic, "after").ok());
  EXPECT_EQ(read(0, topic)["after"], 2u * kPartitions);
  ASSERT_TRUE(until([] { return health(0).brokers_alive() == 2; }));
  const auto said = health(0);
  EXPECT_EQ(said.health(), v1::HEALTH_YELLOW);
  EXPECT_EQ(said.offline(), 0);
  EXPECT_GT(said.under_replicated(), 0);
  EXPECT_THAT(said.reasons(), Contains(HasSubstr("Broker 2 is not heard")));
  v1::ExplainRequest why;
  why.set_broker(2);
  v1::ExplainResponse explained;
  Call call;
  ASSERT_TRUE(admins_[1]->Explain(&call, why, &explained).ok());
  ASSERT_GT(explained.findings_size(), 0);
  EXPECT_EQ(explained.findings(0).code(), "broker-away");
}

}  // namespace
}  // namespace millrace::server
