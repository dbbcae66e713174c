// The health of a cluster as clients see it.
#include "broker/grpc/cluster_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::grpc {
namespace {

using model::BrokerId;
using service::BrokerReport;
using service::ClusterReport;
using service::PartitionReport;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

BrokerReport broker(std::int32_t id) {
  BrokerReport broker{.id = BrokerId{id}};
  broker.registered = metadata::Broker{.id = BrokerId{id}, .directory = {}, .endpoints = {}};
  broker.registered->endpoints = {{"kafka", "h", 9092}, {"grpc", "", 9094}};
  broker.life = {.alive = true, .silence = common::Duration{0}, .recovered = true};
  return broker;
}

PartitionReport partition(std::int32_t index, std::int32_t leader,
                          std::vector<std::int32_t> in_sync) {
  PartitionReport partition{.key = {model::TopicId{{1}}, model::PartitionIndex{index}},
                            .topic = "orders",
                            .leader = BrokerId{leader},
                            .replicas = {BrokerId{0}, BrokerId{1}, BrokerId{2}},
                            .target = {},
                            .in_sync = {},
                            .in_sync_min = 2};
  for (const std::int32_t id : in_sync) partition.in_sync.push_back(BrokerId{id});
  return partition;
}

ClusterReport well() {
  return {.metadata_leader = BrokerId{0},
          .brokers = {broker(0), broker(1), broker(2)},
          .partitions = {partition(0, 0, {0, 1, 2}), partition(1, 1, {0, 1, 2})}};
}

v1::ClusterHealthResponse health(const ClusterReport& report, std::size_t max = 10) {
  v1::ClusterHealthResponse response;
  fill(response, report, max);
  return response;
}

TEST(ClusterViewTest, GreenWhenEverythingIsThere) {
  const auto said = health(well());
  EXPECT_EQ(said.health(), v1::HEALTH_GREEN);
  EXPECT_THAT(said.reasons(), IsEmpty());
  EXPECT_THAT(said.unwell(), IsEmpty());
  EXPECT_EQ(said.brokers(), 3);
  EXPECT_EQ(said.brokers_alive(), 3);
  EXPECT_EQ(said.partitions(), 2);
  // Another leader than the preferred one is counted, and no reason to worry.
  EXPECT_EQ(said.not_preferred(), 1);
}

TEST(ClusterViewTest, YellowWhileSomethingIsMissingOrOnItsWay) {
  ClusterReport report = well();
  report.partitions[0] = partition(0, 0, {0, 1});
  report.partitions[1].target = {BrokerId{1}, BrokerId{2}, BrokerId{3}};
  report.brokers[2].life = {.alive = false, .silence = std::chrono::seconds(3), .recovered = false};
  const auto said = health(report);
  EXPECT_EQ(said.health(), v1::HEALTH_YELLOW);
  EXPECT_EQ(said.under_replicated(), 1);
  EXPECT_EQ(said.at_min_in_sync(), 1);
  EXPECT_EQ(said.moving(), 1);
  EXPECT_EQ(said.brokers_alive(), 2);
  EXPECT_THAT(said.reasons(), SizeIs(3));
  EXPECT_THAT(said.reasons(2), HasSubstr("Broker 2 is not heard"));
  EXPECT_EQ(said.broker_states(2).silent_ms(), 3000);
}

TEST(ClusterViewTest, RedWhenSomethingCannotBeWritten) {
  ClusterReport report = well();
  report.partitions[1] = partition(1, 1, {1});
  EXPECT_EQ(health(report).health(), v1::HEALTH_RED);
  report.partitions[1] = partition(1, -1, {});
  const auto said = health(report);
  EXPECT_EQ(said.health(), v1::HEALTH_RED);
  EXPECT_EQ(said.offline(), 1);
  EXPECT_EQ(said.under_min_in_sync(), 0);
  ClusterReport headless = well();
  headless.metadata_leader = BrokerId{-1};
  EXPECT_EQ(health(headless).health(), v1::HEALTH_RED);
}

TEST(ClusterViewTest, TheWorstPartitionsAreNamedFirstAndNotTooMany) {
  ClusterReport report = well();
  report.partitions = {partition(0, 0, {0, 1}), partition(1, -1, {}), partition(2, 0, {0})};
  const auto said = health(report, 2);
  ASSERT_EQ(said.unwell_size(), 2);
  EXPECT_EQ(said.unwell(0).trouble(), v1::PARTITION_TROUBLE_OFFLINE);
  EXPECT_EQ(said.unwell(0).leader(), -1);
  EXPECT_EQ(said.unwell(1).trouble(), v1::PARTITION_TROUBLE_UNDER_MIN_IN_SYNC);
  EXPECT_THAT(said.unwell(1).replicas(), ElementsAre(0, 1, 2));
}

TEST(ClusterViewTest, ABrokerWithItsAddressesStateAndPermit) {
  BrokerReport one = broker(4);
  one.state = metadata::BrokerState::kDraining;
  one.permit = metadata::Permit{.incarnation = common::Uuid{{5}}, .expires_at_ms = 99};
  one.votes_on_metadata = true;
  one.registered->endpoints.push_back({"office", "o.example", 31000});
  one.registered->endpoints.push_back({"club", "2001:db8::1", 9096});
  v1::Broker out;
  fill(out, one);
  EXPECT_EQ(out.kafka_endpoint(), "h:9092");
  ASSERT_EQ(out.outside_endpoints_size(), 2);
  EXPECT_EQ(out.outside_endpoints(0).listener(), "office");
  EXPECT_EQ(out.outside_endpoints(0).address(), "o.example:31000");
  EXPECT_EQ(out.outside_endpoints(1).address(), "[2001:db8::1]:9096");
  EXPECT_EQ(out.grpc_endpoint(), "0.0.0.0:9094");
  EXPECT_EQ(out.state(), v1::BROKER_STATE_DRAINING);
  EXPECT_EQ(out.permit().expires_at_ms(), 99);
  EXPECT_TRUE(out.metadata_voter());
  one.registered.reset();
  v1::Broker guest;
  fill(guest, one);
  EXPECT_EQ(guest.state(), v1::BROKER_STATE_UNREGISTERED);
}

}  // namespace
}  // namespace millrace::grpc
