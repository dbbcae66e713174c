// What brokers answer, as values: what a condition will say of it, and what must not get lost.
#include "operator/brokers/translate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::brokers {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(Translate, ClusterHasItsBrokersInOrder) {
  v1::ClusterHealthResponse response;
  response.set_health(v1::HEALTH_YELLOW);
  response.set_cluster_id("shop");
  response.set_controller(2);
  response.set_answered_by(1);
  response.add_reasons("Broker 2 is catching up");
  response.set_moving(7);
  for (const int id : {2, 1}) {
    v1::Broker& broker = *response.add_broker_states();
    broker.set_id(id);
    broker.set_state(id == 2 ? v1::BROKER_STATE_DRAINING : v1::BROKER_STATE_ACTIVE);
    broker.set_incarnation("process");
    broker.set_version(id == 1 ? "0.1.0" : "");
  }
  response.mutable_broker_states(0)->mutable_permit()->set_expires_at_ms(17);
  const Cluster cluster = translate(response);
  EXPECT_EQ(cluster.health, Health::kYellow);
  EXPECT_EQ(cluster.version, "0.1.0");
  EXPECT_EQ(cluster.moving, 7);
  EXPECT_THAT(cluster.reasons, ElementsAre("Broker 2 is catching up"));
  ASSERT_EQ(cluster.brokers.size(), 2u);
  EXPECT_EQ(cluster.brokers[0].id, 1);
  EXPECT_FALSE(cluster.brokers[0].permit.has_value());
  EXPECT_EQ(cluster.brokers[1].state, BrokerState::kDraining);
  EXPECT_EQ(cluster.brokers[1].permit.value().expires_at_ms, 17);
}

// A newer broker may have states that are not known here: none of them may look like one that lets
// a disk be deleted.
TEST(Translate, UnknownStateIsNeitherActiveNorDrained) {
  EXPECT_EQ(translate(static_cast<v1::BrokerState>(77)), BrokerState::kUnregistered);
}

TEST(Translate, RefusedPermitSaysWhatBlocks) {
  v1::AcquireRestartPermitResponse response;
  response.set_reason("Partitions would lose their majority");
  response.set_blocked_partitions(12);
  for (int i = 0; i < 5; ++i) {
    v1::PermitBlocker& blocker = *response.add_blockers();
    blocker.set_topic("orders");
    blocker.set_partition(i);
    blocker.set_left(1);
    blocker.set_needed(2);
    blocker.add_missing(3);
    blocker.add_missing(4);
  }
  const PermitAnswer answer = translate(response);
  EXPECT_FALSE(answer.granted);
  EXPECT_EQ(answer.why,
            "Partitions would lose their majority: orders/0 would have 1 of 2 replicas in sync "
            "without broker 3, 4; orders/1 would have 1 of 2 replicas in sync without broker 3, 4; "
            "orders/2 would have 1 of 2 replicas in sync without broker 3, 4 (12 partitions in "
            "all)");
}

TEST(Translate, DrainSaysWhatKeepsIt) {
  v1::DrainBrokerResponse response;
  response.set_state(v1::BROKER_STATE_DRAINING);
  response.set_replicas_left(4);
  v1::Blocker& blocker = *response.add_blockers();
  blocker.set_cause("No broker has room");
  blocker.set_partitions(2);
  blocker.set_topic("orders");
  blocker.set_partition(1);
  const DrainAnswer answer = translate(response);
  EXPECT_EQ(answer.replicas_left, 4);
  EXPECT_EQ(answer.blockers, "No broker has room (2 partition(s), such as orders/1)");
}

TEST(Translate, OutcomesOfABatchAreTheirOwn) {
  v1::NewTopicOutcome made;
  made.set_name("orders");
  made.set_topic_id("id");
  made.set_partitions(6);
  EXPECT_EQ(translate(made).value().partitions, 6);

  v1::NewTopicOutcome taken;
  taken.set_name("orders");
  taken.set_error("TOPIC_ALREADY_EXISTS");
  taken.set_error_message("Topic 'orders' already exists.");
  taken.set_status(::grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(translate(taken).error().trouble, Trouble::kExists);
  EXPECT_FALSE(translate(taken).error().maybe_done);

  v1::NewTopicOutcome lost;
  lost.set_error("REQUEST_TIMED_OUT");
  lost.set_status(::grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(translate(lost).error().trouble, Trouble::kNotNow);
  EXPECT_TRUE(translate(lost).error().maybe_done);
}

TEST(Translate, TroublesAreCountedByTopic) {
  v1::ListPartitionsResponse response;
  for (const bool offline : {true, false}) {
    v1::PartitionHealth& partition = *response.add_partitions();
    partition.set_topic("orders");
    partition.set_trouble(offline ? v1::PARTITION_TROUBLE_OFFLINE
                                  : v1::PARTITION_TROUBLE_AT_MIN_IN_SYNC);
    for (const int replica : {0, 1, 2}) partition.add_replicas(replica);
    partition.add_in_sync(1);
  }
  EXPECT_THAT(translate(response),
              ElementsAre(Pair("orders", TopicTrouble{.offline = 1, .under_replicated = 2})));
}

TEST(Translate, OnlyWhatWasSetForAllBrokersAtRunTime) {
  v1::DescribeConfigsResponse response;
  for (const char* source : {"dynamic-default", "static", "dynamic-broker", "default"}) {
    v1::Config& config = *response.add_configs();
    config.set_name(source);
    config.set_value("1");
    config.set_source(source);
  }
  v1::Config& secret = *response.add_configs();
  secret.set_name("secret");
  secret.set_source("dynamic-default");
  EXPECT_THAT(translate(response), ElementsAre(Pair("dynamic-default", "1")));
}

}  // namespace
}  // namespace millrace::brokers
