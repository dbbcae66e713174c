// A whole broker on a real disk and real sockets: what its native door answers, and that the three
// doors belong to the same broker.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <cstdlib>
#include <optional>
#include <set>

#include "broker/env/testing/both_worlds.h"
#include "broker/server/broker.h"
#include "millrace/v1/admin.grpc.pb.h"
#include "millrace/v1/publisher.grpc.pb.h"
#include "millrace/v1/subscriber.grpc.pb.h"

namespace millrace::server {
namespace {

using ::grpc::ClientContext;
using ::grpc::Status;
using ::grpc::StatusCode;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr auto kDeadline = std::chrono::seconds(20);

/// One call's context: no test waits for ever.
struct Call : ClientContext {
  Call() { set_deadline(std::chrono::system_clock::now() + kDeadline); }
  std::string error_name() const {
    const auto found = GetServerTrailingMetadata().find("millrace-error");
    if (found == GetServerTrailingMetadata().end()) return {};
    return {found->second.data(), found->second.size()};
  }
};

/// HOST:PORT of a door out of the ready line.
std::string address_of(const std::string& ready, const std::string& door) {
  const std::size_t begin = ready.find(door + "=") + door.size() + 1;
  return ready.substr(begin, ready.find(' ', begin) - begin);
}

class Doors : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_.emplace();
    start();
  }
  static void TearDownTestSuite() {
    broker_.reset();
    folder_.reset();
  }
  static void start() {
    Options options;
    options.config = {{"data.dir", folder_->path() + "/data"}, {"shards", "2"},
                      {"kafka.listen", "127.0.0.1:0"},         {"grpc.listen", "127.0.0.1:0"},
                      {"http.listen", "127.0.0.1:0"},          {"internal.listen", "127.0.0.1:0"},
                      {"journal.file.bytes", "8388608"},       {"journal.bytes.max", "33554432"},
                      {"auto.create.topics.enable", "false"}};
    auto started = Broker::start(options);
    CHECK(started.ok(), "{}", started.error().detail);
    broker_ = std::move(started).value();
    const auto channel = ::grpc::CreateChannel(address_of(broker_->ready_line(), "grpc"),
                                               ::grpc::InsecureChannelCredentials());
    admin_ = v1::Admin::NewStub(channel);
    publisher_ = v1::Publisher::NewStub(channel);
    subscriber_ = v1::Subscriber::NewStub(channel);
  }

  /// A topic of this test alone.
  static std::string make_topic(std::int32_t partitions = 1,
                                const std::map<std::string, std::string>& configs = {}) {
    static int made = 0;
    v1::CreateTopicRequest request;
    request.set_name("topic-" + std::to_string(++made));
    request.set_partitions(partitions);
    for (const auto& [name, value] : configs) (*request.mutable_configs())[name] = value;
    v1::CreateTopicResponse response;
    Call call;
    const Status status = admin_->CreateTopic(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
    return request.name();
  }
  static void publish(const std::string& topic, std::int32_t partition,
                      const std::vector<std::string>& values, const std::string& codec = "") {
    v1::PublishRequest request;
    request.set_topic(topic);
    request.set_compression(codec);
    for (const std::string& value : values) {
      auto& record = *request.add_records();
      record.set_partition(partition);
      record.set_value(value);
      record.set_timestamp_ms(1'700'000'000'000 + static_cast<std::int64_t>(&value - &values[0]));
    }
    v1::PublishResponse response;
    Call call;
    const Status status = publisher_->Publish(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
  }

  struct Read {
    Status status;
    std::string error_name;
    std::vector<v1::Record> records;
    std::size_t responses = 0;
    std::size_t response_bytes_max = 0;
    std::vector<std::string> values() const {
      std::vector<std::string> all;
      for (const v1::Record& record : records) all.push_back(record.value());
      return all;
    }
  };
  static Read read(const v1::ReadRequest& request) {
    Read result;
    Call call;
    auto stream = subscriber_->Read(&call, request);
    v1::ReadResponse response;
    while (stream->Read(&response)) {
      ++result.responses;
      result.response_bytes_max = std::max(result.response_bytes_max, response.ByteSizeLong());
      for (v1::Record& record : *response.mutable_records()) result.records.push_back(record);
    }
    result.status = stream->Finish();
    result.error_name = call.error_name();
    return result;
  }
  static v1::ReadRequest from_start(const std::string& topic) {
    v1::ReadRequest request;
    request.set_topic(topic);
    request.mutable_start()->set_earliest(true);
    request.set_until_end(true);
    return request;
  }
  static std::map<std::string, std::string> configs_of(const std::string& topic,
                                                       const std::string& key) {
    v1::DescribeConfigsRequest request;
    request.set_type(v1::RESOURCE_TYPE_TOPIC);
    request.set_name(topic);
    request.add_keys(key);
    v1::DescribeConfigsResponse response;
    Call call;
    const Status status = admin_->DescribeConfigs(&call, request, &response);
    CHECK(status.ok(), "{}", status.error_message());
    std::map<std::string, std::string> found;
    for (const v1::Config& config : response.configs()) found[config.source()] = config.value();
    return found;
  }

  static inline std::optional<env::testing::TemporaryFolder> folder_;
  static inline std::unique_ptr<Broker> broker_;
  static inline std::unique_ptr<v1::Admin::Stub> admin_;
  static inline std::unique_ptr<v1::Publisher::Stub> publisher_;
  static inline std::unique_ptr<v1::Subscriber::Stub> subscriber_;
};

// ---- The broker

TEST_F(Doors, TheReadyLineNamesAllThree) {
  EXPECT_THAT(broker_->ready_line(), MatchesRegex("ready kafka=127.0.0.1:[0-9]+ "
                                                  "grpc=127.0.0.1:[0-9]+ http=127.0.0.1:[0-9]+"));
}

TEST_F(Doors, MetricsAndHealthOfABrokerThatServes) {
  publish(make_topic(), 0, {"a"});
  httplib::Client client("http://" + address_of(broker_->ready_line(), "http"));
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  EXPECT_EQ(client.Get("/livez")->status, 200);
  const auto metrics = client.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_THAT(metrics->body, HasSubstr("\nmillrace_scrape_shards_missing 0"));
  EXPECT_THAT(metrics->body, HasSubstr("# TYPE millrace_"));
  EXPECT_THAT(metrics->body, ContainsRegex("\nmillrace_disk_bytes [1-9]"));
  EXPECT_THAT(metrics->body, ContainsRegex("\nmillrace_disk_free_bytes [1-9]"));
}

TEST_F(Doors, ASecondBrokerOnTheSameDataOrPortSaysWhatIsWrong) {
  Options options;
  options.config = {{"data.dir", folder_->path() + "/data"}};
  const auto same_data = Broker::start(options);
  ASSERT_FALSE(same_data.ok());
  EXPECT_THAT(same_data.error().detail, HasSubstr(folder_->path()));
  options.config = {{"data.dir", folder_->path() + "/other"},
                    {"grpc.listen", address_of(broker_->ready_line(), "grpc")},
                    {"kafka.listen", "127.0.0.1:0"},
                    {"http.listen", "127.0.0.1:0"}};
  const auto same_port = Broker::start(options);
  ASSERT_FALSE(same_port.ok());
  EXPECT_EQ(same_port.error().code, model::ErrorCode::kAddressInUse);
  EXPECT_THAT(same_port.error().detail, HasSubstr("--grpc.listen"));
}

TEST_F(Doors, WhatWasWrittenIsThereAfterARestart) {
  const std::string topic = make_topic(2, {{"retention.ms", "-1"}});
  publish(topic, 1, {"a", "b"});
  broker_->stop();
  broker_.reset();
  start();
  EXPECT_THAT(read(from_start(topic)).values(), ElementsAre("a", "b"));
  EXPECT_EQ(configs_of(topic, "retention.ms"),
            (std::map<std::string, std::string>{{"topic", "-1"}}));
}

// ---- Subscriber

TEST_F(Doors, ReadsFromWhereItIsAsked) {
  const std::string topic = make_topic(2);
  publish(topic, 0, {"a", "b", "c"});
  publish(topic, 1, {"x", "y"});
  v1::ReadRequest request = from_start(topic);
  EXPECT_EQ(read(request).records.size(), 5u);
  request.add_partitions(0);
  EXPECT_THAT(read(request).values(), ElementsAre("a", "b", "c"));
  request.mutable_start()->set_offset(1);
  EXPECT_THAT(read(request).values(), ElementsAre("b", "c"));
  request.mutable_start()->set_timestamp_ms(1'700'000'000'002);
  EXPECT_THAT(read(request).values(), ElementsAre("c"));
  request.mutable_start()->set_latest(true);
  EXPECT_THAT(read(request).values(), ElementsAre());
  (*request.mutable_offsets())[0] = 2;
  EXPECT_THAT(read(request).values(), ElementsAre("c"));
  request = from_start(topic);
  request.add_partitions(0);
  request.set_records_max(2);
  EXPECT_THAT(read(request).values(), ElementsAre("a", "b"));
}

TEST_F(Doors, ReadingWaitsForWhatComes) {
  const std::string topic = make_topic();
  v1::ReadRequest request;
  request.set_topic(topic);
  request.mutable_start()->set_earliest(true);
  Call call;
  auto stream = subscriber_->Read(&call, request);
  publish(topic, 0, {"a"});
  v1::ReadResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.records(0).value(), "a");
  publish(topic, 0, {"b"});
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.records(0).offset(), 1);
  call.TryCancel();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
}

// Goal: a client with default limits (4 MiB in one message) reads what packs well. Method: three
// batches of 8 MB of equal bytes, some kB each as they are stored.
TEST_F(Doors, ReadsOfStronglyCompressedRecordsFitTheClient) {
  const std::string topic = make_topic(1, {{"max.message.bytes", "20000000"}});
  for (int i = 0; i < 3; ++i)
    publish(topic, 0, std::vector<std::string>(80, std::string(100'000, 'v')), "zstd");
  const Read all = read(from_start(topic));
  EXPECT_TRUE(all.status.ok()) << all.status.error_message();
  ASSERT_EQ(all.records.size(), 240u);
  for (std::size_t i = 0; i < all.records.size(); ++i)
    EXPECT_EQ(all.records[i].offset(), static_cast<std::int64_t>(i));
  EXPECT_LE(all.response_bytes_max, 1U << 20) << "unless asked for";
  v1::ReadRequest small = from_start(topic);
  small.set_response_bytes_max(250'000);
  const Read portions = read(small);
  EXPECT_EQ(portions.records.size(), 240u);
  EXPECT_LE(portions.response_bytes_max, 250'000u);
}

TEST_F(Doors, ReadsThatCannotBeServedSayWhy) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a"});
  const auto refusal = [](v1::ReadRequest request) {
    const Read result = read(request);
    EXPECT_TRUE(result.records.empty());
    return std::pair(result.status.error_code(), result.error_name);
  };
  using Refusal = std::pair<StatusCode, std::string>;
  EXPECT_EQ(refusal(from_start("no-such-topic")),
            Refusal(StatusCode::NOT_FOUND, "UNKNOWN_TOPIC_OR_PARTITION"));
  v1::ReadRequest request = from_start(topic);
  request.add_partitions(7);
  EXPECT_EQ(refusal(request), Refusal(StatusCode::NOT_FOUND, "UNKNOWN_TOPIC_OR_PARTITION"));
  request = from_start(topic);
  request.set_until_end(false);
  request.mutable_start()->set_offset(99);
  EXPECT_EQ(refusal(request), Refusal(StatusCode::OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE"));
  request = from_start(topic);
  request.set_records_max(-1);
  EXPECT_EQ(refusal(request), Refusal(StatusCode::INVALID_ARGUMENT, "INVALID_REQUEST"));
  request = from_start(topic);
  request.add_partitions(0);
  (*request.mutable_offsets())[1] = 0;
  EXPECT_EQ(refusal(request), Refusal(StatusCode::INVALID_ARGUMENT, "INVALID_REQUEST"));
}

// ---- Admin

TEST_F(Doors, TopicsAreMadeListedDescribedAndDeleted) {
  v1::CreateTopicRequest request;
  request.set_name("orders");
  request.set_partitions(3);
  (*request.mutable_configs())["retention.ms"] = "1234";
  request.set_validate_only(true);
  v1::CreateTopicResponse made;
  ASSERT_TRUE(admin_->CreateTopic(std::make_unique<Call>().get(), request, &made).ok());
  EXPECT_EQ(made.topic_id(), "") << "nothing was made";
  EXPECT_EQ(made.partitions(), 3);
  request.set_validate_only(false);
  ASSERT_TRUE(admin_->CreateTopic(std::make_unique<Call>().get(), request, &made).ok());
  EXPECT_EQ(made.topic_id().size(), 22u);
  EXPECT_EQ(made.replication_factor(), 1);
  Call again;
  EXPECT_EQ(admin_->CreateTopic(&again, request, &made).error_code(), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(again.error_name(), "TOPIC_ALREADY_EXISTS");

  v1::ListTopicsResponse list;
  ASSERT_TRUE(admin_->ListTopics(std::make_unique<Call>().get(), {}, &list).ok());
  const auto listed = std::find_if(list.topics().begin(), list.topics().end(),
                                   [](const auto& topic) { return topic.name() == "orders"; });
  ASSERT_NE(listed, list.topics().end());
  EXPECT_EQ(listed->partitions(), 3);

  publish("orders", 1, {"a", "b"});
  v1::DescribeTopicRequest what;
  what.set_name("orders");
  v1::DescribeTopicResponse described;
  ASSERT_TRUE(admin_->DescribeTopic(std::make_unique<Call>().get(), what, &described).ok());
  ASSERT_EQ(described.partitions_size(), 3);
  EXPECT_EQ(described.partitions(1).high_watermark(), 2);
  EXPECT_GT(described.partitions(1).size_bytes(), 0);
  EXPECT_EQ(described.configs().at("retention.ms"), "1234");

  v1::DeleteTopicRequest removal;
  removal.set_topic_id("not an id");
  v1::DeleteTopicResponse deleted;
  EXPECT_EQ(admin_->DeleteTopic(std::make_unique<Call>().get(), removal, &deleted).error_code(),
            StatusCode::INVALID_ARGUMENT);
  removal.set_topic_id(made.topic_id());
  EXPECT_TRUE(admin_->DeleteTopic(std::make_unique<Call>().get(), removal, &deleted).ok());
  EXPECT_EQ(admin_->DeleteTopic(std::make_unique<Call>().get(), removal, &deleted).error_code(),
            StatusCode::NOT_FOUND);
  EXPECT_EQ(admin_->DescribeTopic(std::make_unique<Call>().get(), what, &described).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(Doors, TopicsAreMadeTogetherAndListedWithTheirSettings) {
  v1::CreateTopicsRequest request;
  for (const char* name : {"batch-a", "batch-a", "no/name", "batch-b"}) {
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name(name);
    topic.set_partitions(2);
    (*topic.mutable_configs())["retention.ms"] = "1234";
  }
  v1::CreateTopicsResponse made;
  ASSERT_TRUE(admin_->CreateTopics(std::make_unique<Call>().get(), request, &made).ok());
  ASSERT_EQ(made.topics_size(), 4);
  EXPECT_EQ(made.topics(0).error(), "");
  EXPECT_EQ(made.topics(0).partitions(), 2);
  EXPECT_EQ(made.topics(0).topic_id().size(), 22u);
  EXPECT_EQ(made.topics(1).error(), "TOPIC_ALREADY_EXISTS") << "each sees those before it";
  EXPECT_EQ(made.topics(1).status(), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(made.topics(2).error(), "INVALID_TOPIC_EXCEPTION");
  EXPECT_NE(made.topics(2).error_message(), "");
  EXPECT_EQ(made.topics(3).name(), "batch-b")
      << "one that is refused keeps no other from being made";
  EXPECT_EQ(made.topics(3).error(), "");

  v1::ListTopicsRequest what;
  for (const bool with_configs : {false, true}) {
    what.set_with_configs(with_configs);
    v1::ListTopicsResponse list;
    ASSERT_TRUE(admin_->ListTopics(std::make_unique<Call>().get(), what, &list).ok());
    const auto listed = std::find_if(list.topics().begin(), list.topics().end(),
                                     [](const auto& topic) { return topic.name() == "batch-b"; });
    ASSERT_NE(listed, list.topics().end());
    EXPECT_EQ(listed->configs().count("retention.ms"), with_configs ? 1u : 0u);
  }

  v1::CreateTopicsRequest too_many;
  for (int i = 0; i < 1001; ++i) too_many.add_topics()->set_name("t");
  EXPECT_EQ(admin_->CreateTopics(std::make_unique<Call>().get(), too_many, &made).error_code(),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(Doors, WrongTopicsAreRefused) {
  const auto refusal = [](const std::string& name, std::int32_t partitions, std::int32_t replicas) {
    v1::CreateTopicRequest request;
    request.set_name(name);
    request.set_partitions(partitions);
    request.set_replication_factor(replicas);
    v1::CreateTopicResponse response;
    Call call;
    EXPECT_FALSE(admin_->CreateTopic(&call, request, &response).ok());
    return call.error_name();
  };
  EXPECT_EQ(refusal("a b", 1, 1), "INVALID_TOPIC_EXCEPTION");
  EXPECT_EQ(refusal("", 1, 1), "INVALID_TOPIC_EXCEPTION");
  EXPECT_EQ(refusal("fresh", -1, 1), "INVALID_REQUEST");
  EXPECT_EQ(refusal("fresh", 1, 70'000), "INVALID_REQUEST");
  EXPECT_EQ(refusal("fresh", 1, 3), "INVALID_REPLICATION_FACTOR");
  EXPECT_EQ(refusal("fresh", 1'000'000, 1), "POLICY_VIOLATION");
}

TEST_F(Doors, PartitionsGrowAndNeverShrink) {
  v1::CreatePartitionsRequest request;
  request.set_topic(make_topic(2));
  request.set_partitions(4);
  request.set_validate_only(true);
  v1::CreatePartitionsResponse response;
  ASSERT_TRUE(admin_->CreatePartitions(std::make_unique<Call>().get(), request, &response).ok());
  request.set_validate_only(false);
  ASSERT_TRUE(admin_->CreatePartitions(std::make_unique<Call>().get(), request, &response).ok());
  EXPECT_EQ(response.partitions(), 4);
  publish(request.topic(), 3, {"usable at once"});
  request.set_partitions(3);
  Call call;
  EXPECT_EQ(admin_->CreatePartitions(&call, request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(call.error_name(), "INVALID_PARTITIONS");
}

TEST_F(Doors, ConfigsChangeOneByOneAndAllOrNone) {
  const std::string topic = make_topic();
  v1::AlterConfigsRequest request;
  request.set_type(v1::RESOURCE_TYPE_TOPIC);
  request.set_name(topic);
  auto& change = *request.add_changes();
  change.set_name("retention.ms");
  change.set_value("77");
  request.set_validate_only(true);
  const auto alter = [&] {
    v1::AlterConfigsResponse response;
    Call call;
    const Status status = admin_->AlterConfigs(&call, request, &response);
    return status.ok() ? "" : call.error_name();
  };
  using Found = std::map<std::string, std::string>;
  EXPECT_EQ(alter(), "");
  EXPECT_EQ(configs_of(topic, "retention.ms"), (Found{{"default", "604800000"}}));
  request.set_validate_only(false);
  EXPECT_EQ(alter(), "");
  EXPECT_EQ(configs_of(topic, "retention.ms"), (Found{{"topic", "77"}}));
  change.set_operation(v1::CONFIG_OPERATION_DELETE);
  auto& wrong = *request.add_changes();
  wrong.set_name("no.such.config");
  EXPECT_EQ(alter(), "INVALID_CONFIG");
  EXPECT_EQ(configs_of(topic, "retention.ms"), (Found{{"topic", "77"}}));
  request.mutable_changes()->RemoveLast();
  EXPECT_EQ(alter(), "");
  EXPECT_EQ(configs_of(topic, "retention.ms"), (Found{{"default", "604800000"}}));
  request.set_type(v1::RESOURCE_TYPE_UNSPECIFIED);
  EXPECT_EQ(alter(), "INVALID_REQUEST");
  request.set_type(v1::RESOURCE_TYPE_BROKER);
  request.set_name("not-a-number");
  EXPECT_EQ(alter(), "INVALID_REQUEST");
}

TEST_F(Doors, OffsetsAreFoundAndRecordsDeleted) {
  const std::string topic = make_topic(2);
  publish(topic, 0, {"a", "b", "c"});
  v1::ListOffsetsRequest request;
  request.set_topic(topic);
  const auto offsets = [&] {
    v1::ListOffsetsResponse response;
    EXPECT_TRUE(admin_->ListOffsets(std::make_unique<Call>().get(), request, &response).ok());
    std::vector<std::int64_t> found;
    for (const auto& offset : response.offsets()) found.push_back(offset.offset());
    return found;
  };
  EXPECT_THAT(offsets(), ElementsAre(3, 0)) << "latest, of all partitions";
  request.set_timestamp_ms(1'700'000'000'001);
  EXPECT_THAT(offsets(), ElementsAre(1, -1));
  request.set_max_timestamp(true);
  EXPECT_THAT(offsets(), ElementsAre(2, -1));

  v1::DeleteRecordsRequest removal;
  removal.set_topic(topic);
  v1::DeleteRecordsResponse removed;
  Call none;
  EXPECT_EQ(admin_->DeleteRecords(&none, removal, &removed).error_code(),
            StatusCode::INVALID_ARGUMENT);
  (*removal.mutable_before())[0] = 2;
  ASSERT_TRUE(admin_->DeleteRecords(std::make_unique<Call>().get(), removal, &removed).ok());
  EXPECT_EQ(removed.log_start_offsets().at(0), 2);
  request.set_earliest(true);
  EXPECT_THAT(offsets(), ElementsAre(2, 0));
  (*removal.mutable_before())[0] = 9;
  Call beyond;
  EXPECT_EQ(admin_->DeleteRecords(&beyond, removal, &removed).error_code(),
            StatusCode::OUT_OF_RANGE);
  request.set_topic("no-such-topic");
  v1::ListOffsetsResponse response;
  EXPECT_EQ(admin_->ListOffsets(std::make_unique<Call>().get(), request, &response).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(Doors, ProducersGetIdentitiesAndAreRemembered) {
  const std::string topic = make_topic();
  v1::InitProducerResponse first;
  v1::InitProducerResponse second;
  ASSERT_TRUE(admin_->InitProducer(std::make_unique<Call>().get(), {}, &first).ok());
  ASSERT_TRUE(admin_->InitProducer(std::make_unique<Call>().get(), {}, &second).ok());
  EXPECT_NE(first.producer_id(), second.producer_id());
  v1::PublishRequest request;
  request.set_topic(topic);
  for (int i = 0; i < 3; ++i) request.add_records()->set_partition(0);
  request.mutable_idempotence()->set_producer_id(first.producer_id());
  v1::PublishResponse response;
  for (int attempt = 0; attempt < 2; ++attempt) {
    ASSERT_TRUE(publisher_->Publish(std::make_unique<Call>().get(), request, &response).ok());
    EXPECT_EQ(response.positions(2).offset(), 2);
  }
  v1::DescribeProducersRequest who;
  who.set_topic(topic);
  v1::DescribeProducersResponse known;
  ASSERT_TRUE(admin_->DescribeProducers(std::make_unique<Call>().get(), who, &known).ok());
  ASSERT_EQ(known.producers_size(), 1);
  EXPECT_EQ(known.producers(0).producer_id(), first.producer_id());
  EXPECT_EQ(known.producers(0).last_sequence(), 2);
}

TEST_F(Doors, TheClusterIsThisBroker) {
  v1::DescribeClusterResponse cluster;
  ASSERT_TRUE(admin_->DescribeCluster(std::make_unique<Call>().get(), {}, &cluster).ok());
  ASSERT_EQ(cluster.brokers_size(), 1);
  EXPECT_EQ(cluster.brokers(0).kafka_endpoint(), address_of(broker_->ready_line(), "kafka"));
  EXPECT_EQ(cluster.brokers(0).grpc_endpoint(), address_of(broker_->ready_line(), "grpc"));
  EXPECT_NE(cluster.brokers(0).directory_id(), "");
  EXPECT_GT(cluster.disk_total_bytes(), 0);
}

}  // namespace
}  // namespace millrace::server
