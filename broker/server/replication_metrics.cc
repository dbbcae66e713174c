#include "broker/server/replication_metrics.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "broker/replica/lag.h"
#include "broker/service/group_report.h"
#include "broker/service/metadata_writer.h"

namespace millrace::server {
namespace {

using model::BrokerId;

ReplicaLag lag_of(const replica::Partition& partition, const service::GroupReport& report,
                  const service::GroupMember& member) {
  const std::int64_t records = std::max<std::int64_t>(0, report.log_end - member.end);
  return {.records_max = records,
          .records_sum = records,
          .bytes_max = replica::bytes_behind(partition.log(), records),
          .behind_ms_max = std::max<std::int64_t>(0, member.behind_ms)};
}

void count_partition(service::Shard& shard, const model::PartitionKey& key,
                     const replica::Partition& partition, common::Instant now,
                     ReplicationCounts& counts) {
  const auto report = service::report_on(partition, now);
  if (!report) return;
  ++counts.led;
  TopicReplication& topic = counts.topics[partition.log().topic_name()];
  ++topic.led;
  const metadata::PartitionAssignment* const wanted = shard.image().assignment(key);
  const std::size_t replicas = wanted == nullptr ? 0 : wanted->replicas.size();
  std::size_t in_sync = 0;
  for (const service::GroupMember& member : report->members) {
    if (member.in_sync) ++in_sync;
    if (member.id == report->leader) continue;
    const ReplicaLag lag = lag_of(partition, *report, member);
    topic.lag.add(lag);
    counts.brokers[member.id.node].add(lag);
  }
  const auto minimum = std::min<std::size_t>(
      static_cast<std::size_t>(partition.settings().min_insync_replicas), replicas);
  if (in_sync < replicas) ++topic.under_replicated;
  if (in_sync < minimum) ++topic.below_min;
  if (in_sync == minimum && in_sync < replicas) ++topic.at_min;
}

Labels with(Labels labels, std::string name, std::string value) {
  labels.push_back({std::move(name), std::move(value)});
  return labels;
}

void add_mesh(Exposition& out, const Labels& labels, const cluster::MeshMetrics& mesh) {
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  out.counter("millrace_mesh_sent_bytes_total", "Bytes sent to other brokers.",
              number(mesh.bytes_out), labels);
  out.counter("millrace_mesh_received_bytes_total", "Bytes received from other brokers.",
              number(mesh.bytes_in), labels);
  out.counter("millrace_mesh_sent_frames_total", "Frames sent to other brokers.",
              number(mesh.frames_out), labels);
  out.counter("millrace_mesh_received_frames_total", "Frames received from other brokers.",
              number(mesh.frames_in), labels);
  out.counter("millrace_mesh_sent_messages_total", "Raft messages sent to other brokers.",
              number(mesh.messages_out), labels);
  out.counter("millrace_mesh_received_messages_total", "Raft messages received from other brokers.",
              number(mesh.messages_in), labels);
  out.counter("millrace_mesh_sent_calls_total", "Calls made to other brokers.",
              number(mesh.calls_out), labels);
  out.counter("millrace_mesh_received_calls_total", "Calls of other brokers.",
              number(mesh.calls_in), labels);
  out.counter("millrace_mesh_failed_calls_total", "Calls that the other broker did not answer.",
              number(mesh.calls_failed), labels);
  out.counter("millrace_mesh_connections_made_total", "Connections made to other brokers.",
              number(mesh.connections_made), labels);
  out.counter("millrace_mesh_connections_lost_total", "Connections to other brokers that ended.",
              number(mesh.connections_lost), labels);
  out.counter("millrace_mesh_malformed_total",
              "Connections of other brokers that were closed because of what they brought.",
              number(mesh.malformed), labels);
  const std::pair<const char*, std::uint64_t> reasons[] = {
      {"down", mesh.dropped_down}, {"full", mesh.dropped_full}, {"stray", mesh.dropped_stray}};
  for (const auto& [reason, count] : reasons) {
    out.counter("millrace_mesh_dropped_messages_total",
                "Raft messages that were not sent or not taken, by reason.", number(count),
                with(labels, "reason", reason));
  }
  out.gauge("millrace_mesh_queued_bytes", "Bytes that wait to be sent to other brokers.",
            number(mesh.queued_bytes), labels);
  out.gauge("millrace_mesh_connections", "Open connections to other brokers.",
            number(mesh.links_open), labels);
}

void add_changes(Exposition& out, const Labels& labels, const service::MoverCounters& changes) {
  const std::pair<const char*, std::uint64_t> kinds[] = {{"add-learner", changes.learners_added},
                                                         {"promote", changes.promotions},
                                                         {"demote", changes.demotions},
                                                         {"remove", changes.removals},
                                                         {"transfer", changes.transfers}};
  for (const auto& [kind, count] : kinds) {
    out.counter("millrace_replica_changes_total",
                "Changes of the replicas of partitions that this broker led, by kind.",
                static_cast<double>(count), with(labels, "change", kind));
  }
  out.counter("millrace_replica_changes_refused_total",
              "Changes of replicas that had to wait, because too few replicas had the one before.",
              static_cast<double>(changes.refusals), labels);
}

void add_hub(Exposition& out, const cluster::HubMetrics& hub) {
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  out.counter("millrace_heartbeats_sent_total", "Heartbeats sent to other brokers.",
              number(hub.heartbeats_out));
  out.counter("millrace_heartbeats_received_total", "Heartbeats of other brokers.",
              number(hub.heartbeats_in));
  out.counter("millrace_heartbeats_late_total",
              "Heartbeats that came later than twice their interval after the one before.",
              number(hub.heartbeats_late));
  out.counter("millrace_brokers_suspected_total",
              "Times that another broker was not heard any more.", number(hub.suspicions));
  out.counter("millrace_brokers_restarted_total", "Times that another process of a broker was met.",
              number(hub.restarts));
  out.counter("millrace_internal_connections_refused_total",
              "Connections to internal.listen that were turned away.", number(hub.refused));
  out.counter("millrace_leader_table_repairs_total",
              "Times that tables of leaders differed and were repaired.", number(hub.repairs));
  out.gauge("millrace_leaders_known", "Partitions whose leader this broker knows.",
            number(hub.leaders_known));
}

void add_keeper(Exposition& out, const ClusterCounts& counts) {
  const service::KeeperCounters& keeper = counts.keeper;
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  out.counter("millrace_moves_started_total",
              "Moves of replicas that were begun while this broker led the metadata.",
              number(keeper.moves_started));
  out.counter("millrace_moves_completed_total",
              "Moves of replicas that were completed while this broker led the metadata.",
              number(keeper.moves_completed));
  out.counter("millrace_leader_transfers_total",
              "Leaderships that were moved while this broker led the metadata.",
              number(keeper.transfers));
  out.counter("millrace_leader_transfers_failed_total",
              "Leaderships that could not be moved while this broker led the metadata.",
              number(keeper.transfers_failed));
  std::map<BrokerId, std::int64_t> blocked;
  for (const metadata::MoveBlocker& blocker : counts.blockers)
    blocked[blocker.broker] += blocker.partitions;
  for (const auto& [broker, partitions] : blocked) {
    out.gauge("millrace_moves_blocked",
              "Partitions of a broker that cannot be moved or replaced, told by the leader of the "
              "metadata.",
              static_cast<double>(partitions), {{"broker", std::to_string(broker.value())}});
  }
}

const char* name_of(metadata::BrokerState state) {
  switch (state) {
    case metadata::BrokerState::kActive:
      return "active";
    case metadata::BrokerState::kDraining:
      return "draining";
    case metadata::BrokerState::kDrained:
      return "drained";
  }
  return "unknown";
}

void add_brokers(Exposition& out, const service::ClusterReport& report) {
  for (const service::BrokerReport& broker : report.brokers) {
    const Labels labels{{"broker", std::to_string(broker.id.value())}};
    out.gauge("millrace_broker_alive", "1 while the broker is heard by this one, else 0.",
              broker.life.alive ? 1 : 0, labels);
    out.gauge("millrace_broker_replicas",
              "Replicas that a broker has, is to get, or is to give away.",
              static_cast<double>(broker.replicas), labels);
    out.gauge("millrace_broker_replicas_behind",
              "Replicas of a broker that are not in sync, as this broker knows.",
              static_cast<double>(broker.behind), labels);
    out.gauge("millrace_broker_leaders", "Partitions that a broker leads, as this broker knows.",
              static_cast<double>(broker.leads), labels);
    if (!broker.registered) continue;
    out.gauge("millrace_broker_state", "1; the state is a label: active, draining or drained.", 1,
              with(labels, "state", name_of(broker.state)));
  }
}

void add_partitions(Exposition& out, const service::ClusterReport& report) {
  std::int64_t offline = 0;
  std::int64_t below_min = 0;
  std::int64_t at_min = 0;
  std::int64_t under = 0;
  std::int64_t moving = 0;
  std::int64_t not_preferred = 0;
  for (const service::PartitionReport& partition : report.partitions) {
    offline += partition.offline() ? 1 : 0;
    below_min += partition.below_min() ? 1 : 0;
    at_min += partition.at_min() ? 1 : 0;
    under += partition.under_replicated() ? 1 : 0;
    moving += partition.moving() ? 1 : 0;
    not_preferred += partition.preferred() ? 0 : 1;
  }
  out.gauge("millrace_partitions_offline",
            "Partitions of the cluster without a leader, as this broker knows.",
            static_cast<double>(offline));
  out.gauge("millrace_partitions_under_min_in_sync",
            "Partitions of the cluster that refuse acks=all, as this broker knows.",
            static_cast<double>(below_min));
  out.gauge("millrace_partitions_at_min_in_sync",
            "Partitions of the cluster that would refuse acks=all with one replica less.",
            static_cast<double>(at_min));
  out.gauge("millrace_partitions_under_replicated",
            "Partitions of the cluster with a replica that is not in sync, as this broker knows.",
            static_cast<double>(under));
  out.gauge("millrace_partitions_moving", "Partitions of the cluster whose replicas are moved.",
            static_cast<double>(moving));
  out.gauge("millrace_partitions_not_preferred",
            "Partitions of the cluster that another than the preferred replica leads.",
            static_cast<double>(not_preferred));
}

void count_from_membership(Membership& membership, service::Shard& first, ClusterCounts& counts) {
  counts.hub = membership.hub().metrics_now();
  counts.heartbeats = membership.hub().traffic();
  if (first.keeper() != nullptr) {
    counts.keeper = first.keeper()->counters();
    counts.blockers = first.keeper()->plan().blockers;
  }
  for (const cluster::Health& other : membership.hub().health())
    counts.metadata_newest = std::max(counts.metadata_newest, other.state.applied);
  counts.permits = static_cast<std::int64_t>(first.image().permits().size());
}

}  // namespace

void ReplicaLag::add(const ReplicaLag& other) {
  records_max = std::max(records_max, other.records_max);
  records_sum += other.records_sum;
  bytes_max = std::max(bytes_max, other.bytes_max);
  behind_ms_max = std::max(behind_ms_max, other.behind_ms_max);
}

void TopicReplication::add(const TopicReplication& other) {
  led += other.led;
  under_replicated += other.under_replicated;
  below_min += other.below_min;
  at_min += other.at_min;
  lag.add(other.lag);
}

ReplicationCounts count_replication(service::Shard& shard, cluster::Mesh* mesh) {
  ReplicationCounts counts;
  counts.counters = shard.replicas().counters();
  counts.changes = shard.mover().counters();
  counts.moving = static_cast<std::int64_t>(shard.mover().under_way().size());
  counts.replicas = static_cast<std::int64_t>(shard.partitions().size());
  const common::Instant now = shard.clock().now();
  for (const auto& [key, partition] : shard.partitions())
    count_partition(shard, key, *partition, now, counts);
  if (mesh != nullptr) counts.mesh = mesh->metrics_now();
  return counts;
}

void add_replication(Exposition& out, std::uint32_t shard, const ReplicationCounts& counts) {
  const Labels labels{{"shard", std::to_string(shard)}};
  out.gauge("millrace_replicas", "Replicas of partitions on this broker.",
            static_cast<double>(counts.replicas), labels);
  out.gauge("millrace_partitions_led", "Partitions that this broker leads.",
            static_cast<double>(counts.led), labels);
  out.counter("millrace_elections_started_total",
              "Times that a replica of this broker asked others for their votes.",
              static_cast<double>(counts.counters.elections_started), labels);
  out.counter("millrace_leader_changes_total",
              "Times that a replica of this broker began to lead; the sum over all brokers is the "
              "number of leader changes.",
              static_cast<double>(counts.counters.elections_won), labels);
  out.counter("millrace_leaderships_lost_total",
              "Times that a replica of this broker ended to lead.",
              static_cast<double>(counts.counters.leaderships_lost), labels);
  out.counter("millrace_replicated_bytes_total",
              "Bytes of records that leaders on this broker sent to other replicas.",
              static_cast<double>(counts.counters.replicated_bytes), labels);
  out.counter("millrace_catch_up_bytes_total",
              "Those of them that went to replicas that do not vote: new ones, which catch up.",
              static_cast<double>(counts.counters.catch_up_bytes), labels);
  out.counter("millrace_replica_messages_stray_total",
              "Raft messages for replicas that are not here.",
              static_cast<double>(counts.counters.strays), labels);
  out.gauge("millrace_replica_changes_under_way",
            "Partitions led here whose replicas are not yet where they should be.",
            static_cast<double>(counts.moving), labels);
  add_changes(out, labels, counts.changes);
  if (counts.mesh) add_mesh(out, labels, *counts.mesh);
}

void add_replication_totals(Exposition& out, const std::vector<const ReplicationCounts*>& shards) {
  std::map<std::string, TopicReplication> topics;
  std::map<BrokerId, ReplicaLag> brokers;
  for (const ReplicationCounts* counts : shards) {
    for (const auto& [name, topic] : counts->topics) topics[name].add(topic);
    for (const auto& [broker, lag] : counts->brokers) brokers[broker].add(lag);
  }
  for (const auto& [name, topic] : topics) {
    const Labels labels{{"topic", name}};
    out.gauge("millrace_topic_partitions_led", "Partitions of the topic that this broker leads.",
              static_cast<double>(topic.led), labels);
    out.gauge("millrace_topic_under_replicated",
              "Those of them with a replica that is not in sync.",
              static_cast<double>(topic.under_replicated), labels);
    out.gauge("millrace_topic_under_min_in_sync", "Those of them that refuse acks=all.",
              static_cast<double>(topic.below_min), labels);
    out.gauge("millrace_topic_at_min_in_sync",
              "Those of them that would refuse acks=all with one replica less.",
              static_cast<double>(topic.at_min), labels);
    out.gauge("millrace_topic_replica_lag_records",
              "Records that the replica which is furthest behind its leader here lacks.",
              static_cast<double>(topic.lag.records_max), labels);
    out.gauge("millrace_topic_replica_lag_bytes",
              "About how many bytes the replica which is furthest behind its leader here lacks.",
              static_cast<double>(topic.lag.bytes_max), labels);
    out.gauge("millrace_topic_replica_lag_seconds",
              "Since the replica which is furthest behind its leader here had everything.",
              static_cast<double>(topic.lag.behind_ms_max) / 1000, labels);
  }
  for (const auto& [broker, lag] : brokers) {
    const Labels labels{{"broker", std::to_string(broker.value())}};
    out.gauge("millrace_replica_lag_records",
              "Records that the replicas on a broker lack in all, of partitions led here.",
              static_cast<double>(lag.records_sum), labels);
    out.gauge(
        "millrace_replica_lag_seconds",
        "Since the replica on a broker which is furthest behind had everything, of partitions "
        "led here.",
        static_cast<double>(lag.behind_ms_max) / 1000, labels);
  }
}

std::future<ClusterCounts> begin_cluster_counts(service::Shard& first, Membership* membership) {
  auto promise = std::make_shared<std::promise<ClusterCounts>>();
  auto answer = promise->get_future();
  first.loop().post([promise, &first, membership] {
    service::report_cluster(first, [promise, &first, membership](service::ClusterReport report) {
      ClusterCounts counts;
      counts.self = first.identity().node;
      counts.report = std::move(report);
      for (const auto& [name, topic] : first.image().topics())
        counts.replication_factors[name] =
            topic->partitions.empty() ? 0 : topic->partitions.front().size();
      if (first.metadata_writer() != nullptr)
        counts.metadata_applied = first.metadata_writer()->bounds().high_watermark;
      if (membership != nullptr) count_from_membership(*membership, first, counts);
      promise->set_value(std::move(counts));
    });
  });
  return answer;
}

void add_cluster_counts(Exposition& out, const ClusterCounts& counts) {
  add_brokers(out, counts.report);
  add_partitions(out, counts.report);
  for (const auto& [topic, factor] : counts.replication_factors) {
    out.gauge("millrace_topic_replication_factor", "Replicas of each partition of the topic.",
              static_cast<double>(factor), {{"topic", topic}});
  }
  out.gauge("millrace_metadata_leader", "1 while this broker leads the metadata log, else 0.",
            counts.report.metadata_leader == counts.self ? 1 : 0);
  out.gauge("millrace_metadata_leader_known",
            "1 while this broker knows who leads the metadata log, else 0.",
            counts.report.metadata_leader == BrokerId{-1} ? 0 : 1);
  out.gauge("millrace_metadata_applied_offset",
            "The end of the metadata log that this broker knows to be committed.",
            static_cast<double>(counts.metadata_applied.value()));
  out.gauge("millrace_metadata_lag_records",
            "Records of the metadata log that another broker has applied and this one has not.",
            static_cast<double>(
                std::max<std::int64_t>(0, counts.metadata_newest - counts.metadata_applied)));
  if (!counts.hub) return;
  out.gauge("millrace_restart_permits", "Brokers that may be stopped now.",
            static_cast<double>(counts.permits));
  out.counter("millrace_heartbeat_sent_bytes_total",
              "Bytes of heartbeats, and of who leads what, sent to other brokers.",
              static_cast<double>(counts.heartbeats.bytes_out));
  out.counter("millrace_heartbeat_received_bytes_total",
              "Bytes of heartbeats, and of who leads what, of other brokers.",
              static_cast<double>(counts.heartbeats.bytes_in));
  add_hub(out, *counts.hub);
  add_keeper(out, counts);
}

}  // namespace millrace::server
