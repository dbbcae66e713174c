// What is said of brokers and partitions, from what was heard of them.
#include "broker/service/cluster_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::service {
namespace {

using model::BrokerId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const model::TopicId kOrders{{1}};

/// Three brokers that are there, and a topic on them.
class ClusterReportTest : public ::testing::Test {
 protected:
  ClusterReportTest() {
    image.apply(metadata::FeatureLevelSet{metadata::kClusterLevel});
    for (std::int32_t id = 0; id < 3; ++id) {
      metadata::Broker broker{.id = BrokerId{id}, .directory = directory(id), .endpoints = {}};
      broker.endpoints.push_back({"kafka", "h", 9092 + id});
      broker.level_max = metadata::kClusterLevel;
      image.apply(metadata::BrokerRegistered{broker});
      facts.brokers[BrokerId{id}] = {
          .alive = true, .silence = common::Duration{0}, .recovered = true};
    }
  }
  static common::Uuid directory(std::int32_t id) {
    return common::Uuid{{9, static_cast<std::uint8_t>(id + 1)}};
  }
  void topic(std::vector<metadata::Replicas> partitions, model::ConfigMap configs = {}) {
    ASSERT_TRUE(image.apply(
        metadata::TopicCreated{kOrders, "orders", std::move(partitions), std::move(configs)}));
  }
  void led(std::int32_t leader, std::vector<std::int32_t> in_sync) {
    KnownLeader known{.leader = BrokerId{leader}, .epoch = model::Term{3}, .in_sync = {}};
    for (const std::int32_t id : in_sync) known.in_sync.push_back(BrokerId{id});
    facts.leaders.push_back(std::move(known));
  }
  void away(std::int32_t id) {
    facts.brokers[BrokerId{id}] = {
        .alive = false, .silence = std::chrono::seconds(7), .recovered = false};
  }
  ClusterReport report() const { return make_report(facts); }

  metadata::Image image;
  ClusterFacts facts{.image = image, .layers = {}, .brokers = {}, .leaders = {}};
};

const metadata::Replicas kAll = {BrokerId{0}, BrokerId{1}, BrokerId{2}};

TEST_F(ClusterReportTest, CountsWhoLeadsAndWhoHolds) {
  topic({kAll, {BrokerId{1}, BrokerId{2}}});
  led(0, {0, 1, 2});
  led(2, {1, 2});
  facts.metadata_leader = BrokerId{1};
  facts.metadata_voters = {BrokerId{0}, BrokerId{1}};
  const ClusterReport said = report();
  EXPECT_EQ(said.metadata_leader, BrokerId{1});
  ASSERT_THAT(said.brokers, SizeIs(3));
  EXPECT_EQ(said.brokers[0].leads, 1);
  EXPECT_EQ(said.brokers[0].replicas, 1);
  EXPECT_EQ(said.brokers[2].leads, 1);
  EXPECT_EQ(said.brokers[2].replicas, 2);
  EXPECT_EQ(said.brokers[2].behind, 0);
  EXPECT_TRUE(said.brokers[1].votes_on_metadata);
  EXPECT_FALSE(said.brokers[2].votes_on_metadata);
  ASSERT_THAT(said.partitions, SizeIs(2));
  EXPECT_TRUE(said.partitions[0].preferred());
  EXPECT_FALSE(said.partitions[1].preferred());
  EXPECT_FALSE(said.partitions[1].under_replicated());
}

TEST_F(ClusterReportTest, WhoIsAwayNeitherLeadsNorIsInSync) {
  topic({kAll, kAll}, {{"min.insync.replicas", "2"}});
  led(0, {0, 1, 2});
  led(1, {0, 1, 2});
  away(0);
  const ClusterReport said = report();
  EXPECT_TRUE(said.partitions[0].offline());
  EXPECT_THAT(said.partitions[1].in_sync, ElementsAre(BrokerId{1}, BrokerId{2}));
  EXPECT_TRUE(said.partitions[1].under_replicated());
  EXPECT_TRUE(said.partitions[1].at_min());
  EXPECT_FALSE(said.partitions[1].below_min());
  EXPECT_EQ(said.brokers[0].behind, 2);
  EXPECT_EQ(said.brokers[0].leads, 0);
}

TEST_F(ClusterReportTest, BelowTheMinimumWritesAreRefused) {
  topic({kAll}, {{"min.insync.replicas", "2"}});
  led(1, {1});
  const ClusterReport said = report();
  EXPECT_TRUE(said.partitions[0].below_min());
  EXPECT_FALSE(said.partitions[0].at_min());
}

TEST_F(ClusterReportTest, OneReplicaThatIsThereIsEnoughForATopicOfOne) {
  topic({{BrokerId{1}}}, {{"min.insync.replicas", "2"}});
  led(1, {1});
  const PartitionReport one = report().partitions.front();
  EXPECT_FALSE(one.below_min() || one.at_min() || one.under_replicated() || one.offline());
}

TEST_F(ClusterReportTest, ReplicasThatComeCountForTheBrokerThatGetsThem) {
  topic({{BrokerId{0}, BrokerId{1}}});
  led(0, {0, 1});
  ASSERT_TRUE(image.apply(
      metadata::MoveStarted{{kOrders, model::PartitionIndex{0}},
                            {{BrokerId{0}, directory(0)}, {BrokerId{2}, directory(2)}}}));
  const ClusterReport said = report();
  EXPECT_TRUE(said.partitions[0].moving());
  EXPECT_THAT(said.partitions[0].target, ElementsAre(BrokerId{0}, BrokerId{2}));
  EXPECT_EQ(said.brokers[1].replicas, 1);
  EXPECT_EQ(said.brokers[2].replicas, 1);
  EXPECT_EQ(said.brokers[2].behind, 1);
}

TEST_F(ClusterReportTest, BrokersThatAreHeardWithoutBeingRegisteredAreNamed) {
  facts.brokers[BrokerId{7}] = {.alive = true, .silence = common::Duration{0}, .recovered = false};
  facts.brokers[BrokerId{8}] = {.alive = false, .silence = {}, .recovered = false};
  const ClusterReport said = report();
  ASSERT_THAT(said.brokers, SizeIs(4));
  EXPECT_EQ(said.brokers[3].id, BrokerId{7});
  EXPECT_FALSE(said.brokers[3].registered.has_value());
}

TEST_F(ClusterReportTest, AMetadataLeaderThatIsAwayIsNone) {
  facts.metadata_leader = BrokerId{2};
  away(2);
  EXPECT_EQ(report().metadata_leader, BrokerId{-1});
}

}  // namespace
}  // namespace millrace::service
