// Clusters, brokers and partitions as people and scripts see them.
#include "cli/cluster_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

void fill(v1::Broker& broker, std::int32_t id, bool alive) {
  broker.set_id(id);
  broker.set_state(v1::BROKER_STATE_ACTIVE);
  broker.set_alive(alive);
  broker.set_recovered(alive);
  broker.set_silent_ms(alive ? 0 : 3'500);
  broker.set_leaders(2);
  broker.set_replicas(6);
  broker.set_kafka_endpoint("10.0.0.1:9092");
  broker.set_directory_id("d" + std::to_string(id));
  v1::OutsideEndpoint& outside = *broker.add_outside_endpoints();
  outside.set_listener("office");
  outside.set_address("o.example:31000");
}

void fill(v1::PartitionHealth& row) {
  row.set_topic("orders");
  row.set_partition(3);
  row.set_leader(-1);
  row.set_trouble(v1::PARTITION_TROUBLE_OFFLINE);
  for (const int id : {2, 0, 1}) row.add_replicas(id);
}

v1::ClusterHealthResponse sick() {
  v1::ClusterHealthResponse response;
  response.set_health(v1::HEALTH_RED);
  response.set_controller(1);
  response.set_brokers(2);
  response.set_brokers_alive(1);
  response.set_partitions(12);
  response.set_offline(1);
  response.add_reasons("1 partition(s) have no leader");
  fill(*response.add_broker_states(), 1, true);
  fill(*response.add_broker_states(), 2, false);
  fill(*response.add_unwell());
  return response;
}

TEST(ClusterText, AHealthReportLeadsWithTheVerdictAndItsReasons) {
  const std::string text = health_text(sick());
  EXPECT_TRUE(
      text.starts_with("red  brokers 1 of 2  controller 1  partitions 12\n  - 1 partition"));
  EXPECT_THAT(text, HasSubstr("away 3.5 s"));
  EXPECT_THAT(text, HasSubstr("orders  3          none    2,0,1     -        -       offline"));
  v1::ClusterHealthResponse well;
  well.set_health(v1::HEALTH_GREEN);
  well.set_controller(-1);
  EXPECT_THAT(health_text(well), HasSubstr("controller none"));
  EXPECT_THAT(health_text(well), Not(HasSubstr("TOPIC")));
}

TEST(ClusterText, AHealthReportForScripts) {
  const json report = json::parse(health_json(sick()));
  EXPECT_EQ(report["health"], "red");
  EXPECT_EQ(report["offline"], 1);
  EXPECT_EQ(report["reasons"].size(), 1u);
  EXPECT_EQ(report["broker_states"][1]["alive"], false);
  EXPECT_EQ(report["broker_states"][1]["outside"], json({{"office", "o.example:31000"}}));
  EXPECT_EQ(report["unwell"][0]["trouble"], "offline");
  EXPECT_EQ(report["unwell"][0]["replicas"], json({2, 0, 1}));
}

TEST(ClusterText, BrokersWithRolesStateAndPermit) {
  v1::DescribeClusterResponse response;
  response.set_controller(0);
  fill(*response.add_brokers(), 0, true);
  v1::Broker& other = *response.add_brokers();
  fill(other, 1, true);
  other.set_state(v1::BROKER_STATE_DRAINING);
  other.set_metadata_voter(true);
  other.set_recovered(false);
  other.mutable_permit()->set_incarnation("i");
  const std::string text = brokers_text(response);
  EXPECT_THAT(text, HasSubstr("controller"));
  EXPECT_THAT(text, HasSubstr("catching up  draining  voter"));
  const json rows = json::parse(brokers_json(response));
  EXPECT_TRUE(rows[0]["permit"].is_null());
  EXPECT_EQ(rows[1]["permit"]["incarnation"], "i");
  EXPECT_EQ(rows[1]["state"], "draining");
  EXPECT_EQ(json::parse(cluster_json(response))["brokers"].size(), 2u);
}

TEST(ClusterText, NamesOfTroublesGoBothWays) {
  for (int number = 1; v1::PartitionTrouble_IsValid(number); ++number) {
    const auto trouble = static_cast<v1::PartitionTrouble>(number);
    EXPECT_EQ(trouble_named(name_of(trouble)), trouble);
  }
  EXPECT_EQ(name_of(v1::PARTITION_TROUBLE_UNDER_MIN_IN_SYNC), "under-min-in-sync");
  EXPECT_EQ(trouble_named("gone"), v1::PARTITION_TROUBLE_UNSPECIFIED);
  EXPECT_EQ(trouble_named(""), v1::PARTITION_TROUBLE_UNSPECIFIED);
}

TEST(ClusterText, ADrainTellsWhatIsLeftAndWhatBlocksIt) {
  v1::DrainBrokerResponse response;
  response.set_state(v1::BROKER_STATE_DRAINING);
  response.set_replicas_left(7);
  v1::Blocker& blocker = *response.add_blockers();
  blocker.set_cause("no active broker is left for it");
  blocker.set_partitions(2);
  blocker.set_topic("orders");
  EXPECT_EQ(
      drain_text(3, response),
      "broker 3 is draining: 7 replica(s) left\n  blocked: no active broker is left for it (2 "
      "partition(s), such as orders/0)\n");
  EXPECT_EQ(json::parse(drain_json(3, response))["blockers"][0]["partitions"], 2);
}

TEST(ClusterText, APermitOrWhyNot) {
  v1::AcquireRestartPermitResponse granted;
  granted.set_granted(true);
  granted.mutable_permit()->set_expires_at_ms(0);
  granted.set_pausing_partitions(4);
  EXPECT_THAT(permit_text(1, granted), HasSubstr("may stop until 1970-01-01"));
  EXPECT_THAT(permit_text(1, granted), HasSubstr("4 partition(s)"));
  v1::AcquireRestartPermitResponse refused;
  refused.set_reason("1 partition(s) could not go on without it");
  v1::PermitBlocker& blocker = *refused.add_blockers();
  blocker.set_topic("orders");
  blocker.set_left(1);
  blocker.set_needed(2);
  blocker.add_missing(2);
  EXPECT_THAT(permit_text(1, refused), HasSubstr("must not stop now: 1 partition"));
  EXPECT_THAT(permit_text(1, refused), HasSubstr("orders  0          1     2       2"));
  EXPECT_EQ(json::parse(permit_json(1, refused))["granted"], false);
}

}  // namespace
}  // namespace millrace::cli
