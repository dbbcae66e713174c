// Replication in the metrics: what is shown, and of whom.
#include "broker/server/replication_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::server {
namespace {

using model::BrokerId;
using ::testing::HasSubstr;
using ::testing::Not;

ReplicationCounts shard_counts() {
  ReplicationCounts counts;
  counts.counters.elections_started = 6;
  counts.counters.elections_won = 4;
  counts.counters.catch_up_bytes = 1000;
  counts.changes.promotions = 2;
  counts.replicas = 9;
  counts.led = 3;
  counts.topics["orders"] = {
      .led = 2,
      .under_replicated = 1,
      .below_min = 0,
      .at_min = 1,
      .lag = {.records_max = 70, .records_sum = 70, .bytes_max = 7000, .behind_ms_max = 1500}};
  counts.brokers[BrokerId{2}] = {
      .records_max = 70, .records_sum = 70, .bytes_max = 7000, .behind_ms_max = 1500};
  return counts;
}

service::BrokerReport broker(std::int32_t id, metadata::BrokerState state, bool alive) {
  service::BrokerReport broker{.id = BrokerId{id}};
  broker.registered = metadata::Broker{.id = BrokerId{id}, .directory = {}, .endpoints = {}};
  broker.state = state;
  broker.life.alive = alive;
  broker.replicas = 5;
  return broker;
}

TEST(ReplicationMetrics, AShardOfABrokerThatIsAloneHasNoMesh) {
  Exposition out;
  add_replication(out, 1, shard_counts());
  const std::string text = out.text();
  EXPECT_THAT(text, HasSubstr("millrace_elections_started_total{shard=\"1\"} 6"));
  EXPECT_THAT(text, HasSubstr("millrace_leader_changes_total{shard=\"1\"} 4"));
  EXPECT_THAT(text, HasSubstr("millrace_partitions_led{shard=\"1\"} 3"));
  EXPECT_THAT(text, HasSubstr("millrace_catch_up_bytes_total{shard=\"1\"} 1000"));
  EXPECT_THAT(text, HasSubstr("millrace_replica_changes_total{shard=\"1\",change=\"promote\"} 2"));
  EXPECT_THAT(text, Not(HasSubstr("millrace_mesh")));
}

TEST(ReplicationMetrics, TheMeshOfAShard) {
  ReplicationCounts counts = shard_counts();
  counts.mesh.emplace();
  counts.mesh->bytes_out = 12;
  counts.mesh->dropped_full = 3;
  counts.mesh->links_open = 2;
  Exposition out;
  add_replication(out, 0, counts);
  const std::string text = out.text();
  EXPECT_THAT(text, HasSubstr("millrace_mesh_sent_bytes_total{shard=\"0\"} 12"));
  EXPECT_THAT(text,
              HasSubstr("millrace_mesh_dropped_messages_total{shard=\"0\",reason=\"full\"} 3"));
  EXPECT_THAT(text, HasSubstr("millrace_mesh_connections{shard=\"0\"} 2"));
}

TEST(ReplicationMetrics, TopicsAndBrokersAreOneSeriesOverAllShards) {
  const ReplicationCounts one = shard_counts();
  ReplicationCounts two = shard_counts();
  two.topics["orders"].lag.records_max = 10;
  two.brokers[BrokerId{2}].records_sum = 30;
  Exposition out;
  add_replication_totals(out, {&one, &two});
  const std::string text = out.text();
  EXPECT_THAT(text, HasSubstr("millrace_topic_partitions_led{topic=\"orders\"} 4"));
  EXPECT_THAT(text, HasSubstr("millrace_topic_under_replicated{topic=\"orders\"} 2"));
  EXPECT_THAT(text, HasSubstr("millrace_topic_replica_lag_records{topic=\"orders\"} 70"));
  EXPECT_THAT(text, HasSubstr("millrace_topic_replica_lag_bytes{topic=\"orders\"} 7000"));
  EXPECT_THAT(text, HasSubstr("millrace_topic_replica_lag_seconds{topic=\"orders\"} 1.5"));
  EXPECT_THAT(text, HasSubstr("millrace_replica_lag_records{broker=\"2\"} 100"));
}

TEST(ReplicationMetrics, TheClusterAsThisBrokerKnowsIt) {
  ClusterCounts counts;
  counts.self = BrokerId{0};
  counts.report.metadata_leader = BrokerId{0};
  counts.report.brokers = {broker(0, metadata::BrokerState::kActive, true),
                           broker(3, metadata::BrokerState::kDraining, false)};
  counts.report.partitions.resize(2);
  counts.report.partitions[0].replicas = {BrokerId{0}, BrokerId{3}};  // and nobody leads it
  counts.report.partitions[1].leader = BrokerId{3};
  counts.report.partitions[1].replicas = {BrokerId{0}, BrokerId{3}};
  counts.report.partitions[1].in_sync = {BrokerId{3}};
  counts.report.partitions[1].target = {BrokerId{0}};
  counts.replication_factors = {{"orders", 2}};
  counts.hub.emplace();
  counts.hub->suspicions = 6;
  counts.keeper.moves_started = 8;
  counts.blockers.push_back(
      {.broker = BrokerId{3}, .cause = "no home", .partitions = 5, .example = {}});
  counts.metadata_applied = model::Offset{40};
  counts.metadata_newest = model::Offset{42};
  counts.permits = 1;
  Exposition out;
  add_cluster_counts(out, counts);
  const std::string text = out.text();
  for (const char* line :
       {"millrace_broker_alive{broker=\"3\"} 0",
        "millrace_broker_state{broker=\"3\",state=\"draining\"} 1",
        "millrace_broker_replicas{broker=\"3\"} 5", "millrace_partitions_offline 1",
        "millrace_partitions_at_min_in_sync 1", "millrace_partitions_under_replicated 2",
        "millrace_partitions_moving 1", "millrace_partitions_not_preferred 1",
        "millrace_topic_replication_factor{topic=\"orders\"} 2", "millrace_metadata_leader 1",
        "millrace_metadata_leader_known 1", "millrace_metadata_lag_records 2",
        "millrace_brokers_suspected_total 6", "millrace_moves_started_total 8",
        "millrace_moves_blocked{broker=\"3\"} 5", "millrace_restart_permits 1"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + line + "\n"));
  }
}

TEST(ReplicationMetrics, ABrokerThatIsAloneIsAClusterOfOne) {
  ClusterCounts counts;
  counts.self = BrokerId{0};
  counts.report.metadata_leader = BrokerId{0};
  Exposition out;
  add_cluster_counts(out, counts);
  EXPECT_THAT(out.text(), HasSubstr("\nmillrace_metadata_leader 1\n"));
  EXPECT_THAT(out.text(), Not(HasSubstr("millrace_heartbeats")));
}

}  // namespace
}  // namespace millrace::server
