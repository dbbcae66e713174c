// ApiVersions, Metadata, topics, configurations and descriptions, through a connection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/testing/test_broker.h"
#include "broker/wire/messages/alter_configs.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/create_partitions.h"
#include "broker/wire/messages/delete_topics.h"
#include "broker/wire/messages/describe_cluster.h"
#include "broker/wire/messages/describe_configs.h"
#include "broker/wire/messages/describe_log_dirs.h"
#include "broker/wire/messages/describe_topic_partitions.h"
#include "broker/wire/messages/incremental_alter_configs.h"
#include "broker/wire/messages/metadata.h"
#include "common/endian.h"

namespace millrace::kafka {
namespace {

using testing::batch_of;
using testing::Client;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::produce_request;
using testing::TestBroker;
using testing::TestBrokerOptions;

constexpr std::int16_t number(ErrorCode code) {
  return static_cast<std::int16_t>(code);
}
const common::Uuid kNobody{{1, 2, 3}};

class Admin : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  Admin()
      : broker_(TestBrokerOptions{.shards = GetParam(), .limits = {}, .config = {}}),
        client_(broker_.connect(GetParam() - 1)) {}

  wire::MetadataResponse metadata_of(const std::vector<std::string>& names,
                                     std::int16_t version = 13, bool may_create = false) {
    wire::MetadataRequest request;
    request.allow_auto_topic_creation = may_create;
    for (const std::string& name : names) request.topics->emplace_back().name = name;
    return client_.call(request, version);
  }
  std::string config_of(const std::string& topic, const std::string& key) {
    wire::DescribeConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = 2;
    resource.resource_name = topic;
    resource.configuration_keys = {key};
    const auto response = client_.call(request);
    EXPECT_EQ(response.results.at(0).configs.size(), 1u);
    return response.results.at(0).configs.at(0).value.value_or("null");
  }

  TestBroker broker_;
  Client client_;
};

// ---- ApiVersions

TEST_P(Admin, ApiVersionsListsTheTable) {
  for (std::int16_t version = 0; version <= 4; ++version) {
    const auto response = client_.call(wire::ApiVersionsRequest{"some-client", "1.2.3"}, version);
    EXPECT_EQ(response.error_code, 0);
    ASSERT_EQ(response.api_keys.size(), wire::kApis.size());
    for (const auto& api : response.api_keys) {
      const auto* row = wire::find_api(api.api_key);
      ASSERT_NE(row, nullptr);
      EXPECT_EQ(api.max_version, row->version_max);
      EXPECT_EQ(api.min_version, row->key == wire::ApiKey::kProduce ? 0 : row->version_min);
    }
  }
  EXPECT_EQ(client_.call(wire::ApiVersionsRequest{"bad name!", "1"}, 3).error_code,
            number(ErrorCode::kInvalidRequest));
  EXPECT_EQ(client_.call(wire::ApiVersionsRequest{"", ""}, 3).error_code,
            number(ErrorCode::kInvalidRequest));
}

// Goal: a client of the future learns which versions there are, on the same connection (KIP-511).
TEST_P(Admin, AnUnknownVersionOfApiVersionsIsAnsweredInVersionZero) {
  auto bytes = std::string(
      wire::encode_request(wire::ApiVersionsRequest{"x", "1"}, 4, 99, "c").joined().text());
  common::store_big(reinterpret_cast<std::uint8_t*>(bytes.data()) + 6, std::int16_t{77});
  client_.send_bytes(bytes);
  const auto answer = client_.receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->correlation_id(), 99);
  const auto response = Client::decode<wire::ApiVersionsResponse>(*answer, 0);
  EXPECT_EQ(response.error_code, number(ErrorCode::kUnsupportedVersion));
  ASSERT_EQ(response.api_keys.size(), 1u);
  EXPECT_EQ(response.api_keys[0].api_key, 18);
  EXPECT_EQ(response.api_keys[0].max_version, 4);
  EXPECT_EQ(client_.call(wire::ApiVersionsRequest{}, 0).error_code, 0);
}

// ---- Metadata

TEST_P(Admin, MetadataInEveryVersion) {
  const auto id = broker_.create_topic("orders", 3);
  broker_.create_topic("zebra", 1);
  for (std::int16_t version = 0; version <= 13; ++version) {
    const auto response = metadata_of({"orders"}, version);
    ASSERT_EQ(response.brokers.size(), 1u);
    EXPECT_EQ(response.brokers[0].host, "broker.test");
    EXPECT_EQ(response.brokers[0].port, 9092);
    if (version >= 1) {
      EXPECT_EQ(response.controller_id, 0);
    }
    if (version >= 2) {
      EXPECT_EQ(response.cluster_id, "test-cluster");
    }
    ASSERT_EQ(response.topics.size(), 1u);
    const auto& topic = response.topics[0];
    EXPECT_EQ(topic.error_code, 0);
    EXPECT_EQ(topic.name, "orders");
    if (version >= 10) {
      EXPECT_EQ(topic.topic_id, id);
    }
    EXPECT_EQ(topic.topic_authorized_operations, INT32_MIN);
    ASSERT_EQ(topic.partitions.size(), 3u);
    EXPECT_EQ(topic.partitions[2].partition_index, 2);
    EXPECT_EQ(topic.partitions[2].leader_id, 0);
    if (version >= 7) {
      EXPECT_GE(topic.partitions[2].leader_epoch, 0);
    }
    EXPECT_THAT(topic.partitions[2].replica_nodes, ElementsAre(0));
    EXPECT_THAT(topic.partitions[2].isr_nodes, ElementsAre(0));
  }
}

TEST_P(Admin, WithoutAnAdvertisedHostClientsAreToldWhereTheyCame) {
  TestBroker broker({.shards = 1, .limits = {}, .config = {}, .advertised = {"", 9092}});
  const auto response = broker.connect().call(wire::MetadataRequest{});
  EXPECT_EQ(response.brokers.at(0).host, "door.test");
  EXPECT_EQ(response.brokers.at(0).port, 9092);
}

TEST_P(Admin, MetadataOfAllAndOfNone) {
  broker_.create_topic("orders");
  broker_.create_topic("zebra");
  wire::MetadataRequest all;
  all.topics.reset();
  EXPECT_EQ(client_.call(all, 1).topics.size(), 2u);
  EXPECT_EQ(client_.call(all, 13).topics.size(), 2u);
  EXPECT_EQ(metadata_of({}, 0).topics.size(), 2u) << "in version 0 the empty list means all";
  EXPECT_EQ(metadata_of({}, 1).topics.size(), 0u);
}

TEST_P(Admin, MetadataById) {
  const auto id = broker_.create_topic("orders");
  wire::MetadataRequest request;
  request.topics = {{id, std::nullopt}, {kNobody, std::nullopt}};
  const auto response = client_.call(request, 12);
  EXPECT_EQ(response.topics.at(0).name, "orders");
  EXPECT_EQ(response.topics.at(1).error_code, number(ErrorCode::kUnknownTopicId));
  EXPECT_EQ(response.topics.at(1).topic_id, kNobody);
  EXPECT_FALSE(response.topics.at(1).name.has_value());
  EXPECT_EQ(client_.call(request, 11).topics.at(0).error_code, number(ErrorCode::kInvalidRequest));
}

TEST_P(Admin, MetadataCreatesWhatMayBeCreated) {
  EXPECT_EQ(metadata_of({"missing"}, 9, false).topics.at(0).error_code,
            number(ErrorCode::kUnknownTopicOrPartition));
  const auto created = metadata_of({"missing", "other", "bad name", "missing"}, 9, true);
  ASSERT_EQ(created.topics.size(), 4u);
  EXPECT_EQ(created.topics[0].error_code, 0);
  EXPECT_EQ(created.topics[0].partitions.size(), 1u);
  EXPECT_EQ(created.topics[1].error_code, 0);
  EXPECT_EQ(created.topics[2].error_code, number(ErrorCode::kInvalidTopic));
  EXPECT_EQ(created.topics[3].error_code, 0);
  EXPECT_EQ(metadata_of({"old-client"}, 1, false).topics.at(0).error_code, 0)
      << "clients before version 4 always allow it";
  const auto write = client_.call(produce_request("missing", {}, 0, batch_of({"v"})), 9);
  EXPECT_EQ(write.responses.at(0).partition_responses.at(0).error_code, 0) << "usable at once";
}

TEST_P(Admin, MetadataCreatesNothingWhenSwitchedOff) {
  TestBroker broker(
      {.shards = 1, .limits = {}, .config = {{"auto.create.topics.enable", "false"}}});
  wire::MetadataRequest request;
  request.topics->emplace_back().name = "missing";
  EXPECT_EQ(broker.connect().call(request, 9).topics.at(0).error_code,
            number(ErrorCode::kUnknownTopicOrPartition));
}

TEST_P(Admin, AuthorizedOperationsWhenAsked) {
  broker_.create_topic("orders");
  wire::MetadataRequest request;
  request.topics->emplace_back().name = "orders";
  request.include_topic_authorized_operations = true;
  request.include_cluster_authorized_operations = true;
  const auto response = client_.call(request, 9);
  EXPECT_EQ(response.topics.at(0).topic_authorized_operations, 3576);
  EXPECT_EQ(response.cluster_authorized_operations, 8096);
}

// ---- Topics

TEST_P(Admin, CreateTopicsInEveryVersion) {
  for (std::int16_t version = 2; version <= 7; ++version) {
    wire::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = "t" + std::to_string(version);
    topic.num_partitions = 2;
    topic.replication_factor = 1;
    topic.configs = {{"retention.ms", "1234"}};
    const auto response = client_.call(request, version).topics.at(0);
    EXPECT_EQ(response.error_code, 0);
    EXPECT_FALSE(response.error_message.has_value());
    EXPECT_EQ(metadata_of({topic.name}).topics.at(0).partitions.size(), 2u);
    EXPECT_EQ(config_of(topic.name, "retention.ms"), "1234");
    if (version < 5) continue;
    EXPECT_EQ(response.num_partitions, 2);
    EXPECT_EQ(response.replication_factor, 1);
    const auto& configs = *response.configs;
    const auto found = std::find_if(configs.begin(), configs.end(),
                                    [](const auto& c) { return c.name == "retention.ms"; });
    ASSERT_NE(found, configs.end());
    EXPECT_EQ(found->value, "1234");
    EXPECT_EQ(found->config_source, 1);
    if (version >= 7) {
      EXPECT_FALSE(response.topic_id.is_zero());
    }
  }
}

// A dry run tells what the topic would be, as a real one does (KIP-525).
TEST_P(Admin, CreateTopicsForValidationTellsPartitionsAndConfigs) {
  TestBroker broker({.shards = GetParam(), .limits = {}, .config = {{"num.partitions", "5"}}});
  auto client = broker.connect();
  wire::CreateTopicsRequest request;
  auto& topic = request.topics.emplace_back();
  topic.name = "fresh";
  topic.num_partitions = -1;
  topic.replication_factor = -1;
  topic.configs = {{"retention.ms", "1234"}};
  request.validate_only = true;
  for (std::int16_t version = 5; version <= 7; ++version) {
    const auto dry = client.call(request, version).topics.at(0);
    EXPECT_EQ(dry.error_code, 0);
    EXPECT_EQ(dry.num_partitions, 5);
    EXPECT_EQ(dry.replication_factor, 1);
    const auto& configs = *dry.configs;
    EXPECT_TRUE(std::is_sorted(configs.begin(), configs.end(),
                               [](const auto& a, const auto& b) { return a.name < b.name; }));
    const auto found = std::find_if(configs.begin(), configs.end(),
                                    [](const auto& c) { return c.name == "retention.ms"; });
    ASSERT_NE(found, configs.end());
    EXPECT_EQ(found->value, "1234");
    EXPECT_EQ(found->config_source, 1);
  }
  const auto dry = client.call(request).topics.at(0).configs;
  request.validate_only = false;
  EXPECT_EQ(client.call(request).topics.at(0).configs, dry) << "as it is then made";
}

TEST_P(Admin, CreateTopicsErrors) {
  broker_.create_topic("orders");
  const auto refuse = [&](auto change, bool validate_only = false) {
    wire::CreateTopicsRequest request;
    request.validate_only = validate_only;
    auto& topic = request.topics.emplace_back();
    topic.name = "fresh";
    topic.num_partitions = 1;
    topic.replication_factor = 1;
    change(request);
    const auto response = client_.call(request);
    const auto& last = response.topics.at(response.topics.size() - 1);
    EXPECT_EQ(last.error_code != 0, last.error_message.has_value());
    return last.error_code;
  };
  EXPECT_EQ(refuse([](auto& r) { r.topics[0].name = "orders"; }),
            number(ErrorCode::kTopicAlreadyExists));
  EXPECT_EQ(refuse([](auto& r) { r.topics[0].name = "a b"; }), number(ErrorCode::kInvalidTopic));
  EXPECT_EQ(refuse([](auto& r) { r.topics[0].name = ""; }), number(ErrorCode::kInvalidTopic));
  EXPECT_EQ(refuse([](auto& r) { r.topics[0].num_partitions = 0; }),
            number(ErrorCode::kInvalidPartitions));
  EXPECT_EQ(refuse([](auto& r) { r.topics[0].replication_factor = 3; }),
            number(ErrorCode::kInvalidReplicationFactor));
  EXPECT_EQ(refuse([](auto& r) {
              r.topics[0].configs = {{"no.such.key", "1"}};
            }),
            number(ErrorCode::kInvalidConfig));
  EXPECT_EQ(refuse([](auto& r) {
              r.topics[0].configs = {{"retention.ms", "soon"}};
            }),
            number(ErrorCode::kInvalidConfig));
  EXPECT_EQ(refuse([](auto& r) { r.topics.push_back(r.topics[0]); }),
            number(ErrorCode::kInvalidRequest));
  EXPECT_EQ(refuse([](auto& r) {
              r.topics[0].num_partitions = -1;
              r.topics[0].replication_factor = -1;
              r.topics[0].assignments = {{0, {55}}};
            }),
            number(ErrorCode::kInvalidReplicaAssignment));
  EXPECT_EQ(refuse([](auto&) {}, true), 0);
  EXPECT_EQ(metadata_of({"fresh"}).topics.at(0).error_code,
            number(ErrorCode::kUnknownTopicOrPartition))
      << "validate_only creates nothing";
}

TEST_P(Admin, DeleteTopicsByNameAndId) {
  const auto id = broker_.create_topic("by-id");
  broker_.create_topic("by-name");
  broker_.create_topic("old");
  wire::DeleteTopicsRequest request;
  request.topics = {{std::nullopt, id},      {"by-name", {}}, {"missing", {}},
                    {std::nullopt, kNobody}, {"x", kNobody},  {std::nullopt, {}}};
  const auto response = client_.call(request).responses;
  ASSERT_EQ(response.size(), 6u);
  EXPECT_EQ(response[0].error_code, 0);
  EXPECT_EQ(response[0].name, "by-id");
  EXPECT_EQ(response[1].error_code, 0);
  EXPECT_EQ(response[2].error_code, number(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_EQ(response[3].error_code, number(ErrorCode::kUnknownTopicId));
  EXPECT_EQ(response[4].error_code, number(ErrorCode::kInvalidRequest));
  EXPECT_EQ(response[5].error_code, number(ErrorCode::kInvalidRequest));
  wire::DeleteTopicsRequest old;
  old.topic_names = {"old", "missing", "missing"};
  const auto answers = client_.call(old, 1).responses;
  EXPECT_EQ(answers.at(0).error_code, 0);
  EXPECT_EQ(answers.at(1).error_code, number(ErrorCode::kInvalidRequest)) << "named twice";
  wire::MetadataRequest all;
  all.topics.reset();
  EXPECT_TRUE(client_.call(all).topics.empty());
  EXPECT_NE(broker_.create_topic("by-id"), id) << "the same name, another topic";
}

TEST_P(Admin, DeleteTopicsWhenSwitchedOff) {
  TestBroker broker({.shards = 1, .limits = {}, .config = {{"delete.topic.enable", "false"}}});
  broker.create_topic("orders");
  Client client = broker.connect();
  wire::DeleteTopicsRequest request;
  request.topics = {{"orders", {}}};
  request.topic_names = {"orders"};
  EXPECT_EQ(client.call(request, 6).responses.at(0).error_code,
            number(ErrorCode::kTopicDeletionDisabled));
  EXPECT_EQ(client.call(request, 2).responses.at(0).error_code, number(ErrorCode::kInvalidRequest));
}

TEST_P(Admin, CreatePartitions) {
  broker_.create_topic("orders", 2);
  const auto grow = [&](const std::string& name, std::int32_t count, bool validate_only,
                        bool twice = false) {
    wire::CreatePartitionsRequest request;
    request.validate_only = validate_only;
    request.topics.resize(twice ? 2 : 1);
    for (auto& topic : request.topics) {
      topic.name = name;
      topic.count = count;
      topic.assignments.reset();
    }
    return client_.call(request).results.at(0).error_code;
  };
  EXPECT_EQ(grow("orders", 4, true), 0);
  EXPECT_EQ(metadata_of({"orders"}).topics.at(0).partitions.size(), 2u);
  EXPECT_EQ(grow("orders", 4, false), 0);
  EXPECT_EQ(metadata_of({"orders"}).topics.at(0).partitions.size(), 4u);
  EXPECT_EQ(client_.call(produce_request("orders", {}, 3, batch_of({"v"})), 9)
                .responses.at(0)
                .partition_responses.at(0)
                .error_code,
            0);
  EXPECT_EQ(grow("orders", 4, false), number(ErrorCode::kInvalidPartitions));
  EXPECT_EQ(grow("orders", 1, false), number(ErrorCode::kInvalidPartitions));
  EXPECT_EQ(grow("missing", 4, false), number(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_EQ(grow("orders", 9, false, true), number(ErrorCode::kInvalidRequest));
}

// ---- Configurations

TEST_P(Admin, DescribeConfigs) {
  broker_.create_topic("orders", 1, {{"retention.ms", "77"}});
  wire::DescribeConfigsRequest request;
  request.include_synonyms = true;
  request.include_documentation = true;
  auto& resource = request.resources.emplace_back();
  resource.resource_type = 2;
  resource.resource_name = "orders";
  resource.configuration_keys.reset();
  for (const std::int16_t version : {1, 2, 3, 4}) {
    const auto response = client_.call(request, version).results.at(0);
    EXPECT_EQ(response.error_code, 0);
    EXPECT_GT(response.configs.size(), 15u);
    const auto found = std::find_if(response.configs.begin(), response.configs.end(),
                                    [](const auto& c) { return c.name == "retention.ms"; });
    ASSERT_NE(found, response.configs.end());
    EXPECT_EQ(found->value, "77");
    EXPECT_EQ(found->config_source, 1);
    ASSERT_GE(found->synonyms.size(), 2u);
    EXPECT_EQ(found->synonyms[0].value, "77");
    if (version >= 3) {
      EXPECT_EQ(found->config_type, 5);
      EXPECT_FALSE(found->documentation.value_or("").empty());
    }
  }
  resource.resource_name = "missing";
  EXPECT_EQ(client_.call(request).results.at(0).error_code,
            number(ErrorCode::kUnknownTopicOrPartition));
  resource.resource_type = 4;
  resource.resource_name = "0";
  const auto broker = client_.call(request).results.at(0);
  EXPECT_EQ(broker.error_code, 0);
  EXPECT_GT(broker.configs.size(), 5u);
}

TEST_P(Admin, AlterConfigsReplacesAndIncrementalChanges) {
  broker_.create_topic("orders", 1, {{"retention.ms", "77"}});
  wire::IncrementalAlterConfigsRequest change;
  auto& resource = change.resources.emplace_back();
  resource.resource_type = 2;
  resource.resource_name = "orders";
  resource.configs = {{"max.message.bytes", 0, "1000"}};
  change.validate_only = true;
  EXPECT_EQ(client_.call(change).responses.at(0).error_code, 0);
  EXPECT_NE(config_of("orders", "max.message.bytes"), "1000");
  change.validate_only = false;
  EXPECT_EQ(client_.call(change, 0).responses.at(0).error_code, 0);
  EXPECT_EQ(config_of("orders", "max.message.bytes"), "1000");
  EXPECT_EQ(config_of("orders", "retention.ms"), "77");
  resource.configs = {{"retention.ms", 1, std::nullopt}};
  EXPECT_EQ(client_.call(change).responses.at(0).error_code, 0);
  EXPECT_EQ(config_of("orders", "retention.ms"), "604800000");
  resource.configs = {{"retention.ms", 0, "never"}};
  const auto bad = client_.call(change).responses.at(0);
  EXPECT_EQ(bad.error_code, number(ErrorCode::kInvalidConfig));
  EXPECT_THAT(bad.error_message.value_or(""), HasSubstr("retention.ms"));

  wire::AlterConfigsRequest replace;
  auto& whole = replace.resources.emplace_back();
  whole.resource_type = 2;
  whole.resource_name = "orders";
  whole.configs = {{"retention.ms", "5"}};
  for (const std::int16_t version : {0, 1, 2}) {
    EXPECT_EQ(client_.call(replace, version).responses.at(0).error_code, 0);
  }
  EXPECT_EQ(config_of("orders", "retention.ms"), "5");
  EXPECT_NE(config_of("orders", "max.message.bytes"), "1000")
      << "what is not named goes back to its default";
  replace.resources.push_back(replace.resources[0]);
  EXPECT_EQ(client_.call(replace).responses.at(1).error_code, number(ErrorCode::kInvalidRequest));
  replace.resources = {{2, "missing", {}}};
  EXPECT_EQ(client_.call(replace).responses.at(0).error_code,
            number(ErrorCode::kUnknownTopicOrPartition));
}

// ---- Descriptions

TEST_P(Admin, DescribeCluster) {
  wire::DescribeClusterRequest request;
  for (std::int16_t version = 0; version <= 2; ++version) {
    const auto response = client_.call(request, version);
    EXPECT_EQ(response.error_code, 0);
    EXPECT_EQ(response.cluster_id, "test-cluster");
    EXPECT_EQ(response.controller_id, 0);
    ASSERT_EQ(response.brokers.size(), 1u);
    EXPECT_EQ(response.brokers[0].host, "broker.test");
    EXPECT_EQ(response.cluster_authorized_operations, INT32_MIN);
  }
  request.endpoint_type = 2;
  EXPECT_EQ(client_.call(request).error_code, number(ErrorCode::kMismatchedEndpointType));
  request.endpoint_type = 9;
  EXPECT_EQ(client_.call(request).error_code, number(ErrorCode::kUnsupportedEndpointType));
}

// Goal: pages together give every partition once, in order. Method: small pages over topics of
// several sizes.
TEST_P(Admin, DescribeTopicPartitionsPageByPage) {
  broker_.create_topic("a", 3);
  broker_.create_topic("b", 1);
  broker_.create_topic("c", 4);
  for (const std::int32_t limit : {1, 2, 3, 100}) {
    std::vector<std::string> seen;
    wire::DescribeTopicPartitionsRequest request;
    request.response_partition_limit = limit;
    for (int pages = 0; pages < 20; ++pages) {
      const auto response = client_.call(request);
      std::int32_t count = 0;
      for (const auto& topic : response.topics) {
        EXPECT_EQ(topic.error_code, 0);
        for (const auto& partition : topic.partitions) {
          seen.push_back(*topic.name + std::to_string(partition.partition_index));
          EXPECT_EQ(partition.leader_id, 0);
          EXPECT_GE(partition.leader_epoch, 0);
          ++count;
        }
      }
      EXPECT_LE(count, limit);
      if (!response.next_cursor.has_value()) break;
      request.cursor.emplace();
      request.cursor->topic_name = response.next_cursor->topic_name;
      request.cursor->partition_index = response.next_cursor->partition_index;
    }
    EXPECT_THAT(seen, ElementsAre("a0", "a1", "a2", "b0", "c0", "c1", "c2", "c3")) << limit;
  }
  wire::DescribeTopicPartitionsRequest named;
  named.topics = {{"missing"}, {"b"}, {"not a name"}};
  const auto response = client_.call(named);
  ASSERT_EQ(response.topics.size(), 3u);
  EXPECT_EQ(response.topics[0].name, "b");
  EXPECT_EQ(response.topics[1].error_code, number(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_EQ(response.topics[2].error_code, number(ErrorCode::kInvalidTopic));
}

TEST_P(Admin, DescribeLogDirs) {
  broker_.create_topic("orders", 2);
  broker_.create_topic("zebra", 1);
  client_.call(produce_request("orders", {}, 1, batch_of({"v"})), 9);
  wire::DescribeLogDirsRequest request;
  request.topics.reset();
  for (std::int16_t version = 1; version <= 5; ++version) {
    const auto response = client_.call(request, version);
    EXPECT_EQ(response.error_code, 0);
    const auto& directory = response.results.at(0);
    EXPECT_EQ(directory.error_code, 0);
    EXPECT_EQ(directory.log_dir, "/data");
    const auto orders = std::find_if(directory.topics.begin(), directory.topics.end(),
                                     [](const auto& topic) { return topic.name == "orders"; });
    ASSERT_NE(orders, directory.topics.end());
    std::int64_t bytes = 0;
    for (const auto& partition : orders->partitions) bytes += partition.partition_size;
    EXPECT_EQ(bytes, static_cast<std::int64_t>(batch_of({"v"}).size()));
    if (version >= 4) {
      EXPECT_GT(directory.total_bytes, 0);
    }
  }
  request.topics.emplace();
  request.topics->push_back({"orders", {1}});
  const auto filtered = client_.call(request).results.at(0);
  ASSERT_EQ(filtered.topics.size(), 1u);
  EXPECT_EQ(filtered.topics[0].partitions.size(), 1u);
}

// Goal: a request about very many things does not overflow the stack. Method: twenty thousand
// that are refused at once, each of them decided where the request came in.
TEST_P(Admin, OneRequestAboutVeryManyThings) {
  constexpr std::size_t kMany = 20'000;
  wire::DeleteTopicsRequest remove;
  wire::IncrementalAlterConfigsRequest alter;
  wire::CreatePartitionsRequest grow;
  for (std::size_t i = 0; i < kMany; ++i) {
    const std::string name = fmt::format("{}", i);
    remove.topics.push_back({name, {}});
    alter.resources.push_back({static_cast<std::int8_t>(i % 2 == 0 ? 8 : 2), name, {}});
    grow.topics.push_back({name, 3, std::nullopt});
  }
  Client client = broker_.connect(0);
  EXPECT_EQ(client.call(remove).responses.size(), kMany);
  EXPECT_EQ(client.call(alter).responses.size(), kMany);
  EXPECT_EQ(client.call(grow).results.size(), kMany);
}

INSTANTIATE_TEST_SUITE_P(Shards, Admin, ::testing::Values(1u, 3u), [](const auto& instance) {
  return "Of" + std::to_string(instance.param);
});

}  // namespace
}  // namespace millrace::kafka
