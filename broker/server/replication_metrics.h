// What replication looks like in the metrics: of the partitions, of what goes on between brokers,
// and of the cluster as this broker knows it.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/cluster/metrics.h"
#include "broker/server/exposition.h"
#include "broker/server/membership.h"
#include "broker/service/cluster_report.h"
#include "broker/service/mover.h"
#include "broker/service/replicas.h"
#include "broker/service/shard.h"

namespace millrace::server {

/// How far replicas are behind their leaders on this broker.
struct ReplicaLag {
  /// The largest of a replica, and the sum over all.
  std::int64_t records_max = 0;
  std::int64_t records_sum = 0;
  /// About: by the size of the log's records.
  std::int64_t bytes_max = 0;
  std::int64_t behind_ms_max = 0;
  void add(const ReplicaLag& other);
};

/// Partitions of one topic that this broker leads.
struct TopicReplication {
  std::int64_t led = 0;
  std::int64_t under_replicated = 0;
  std::int64_t below_min = 0;
  std::int64_t at_min = 0;
  ReplicaLag lag;
  void add(const TopicReplication& other);
};

/// What one shard counted.
struct ReplicationCounts {
  service::ReplicaCounters counters;
  service::MoverCounters changes;
  std::int64_t moving = 0;
  std::int64_t replicas = 0;
  std::int64_t led = 0;
  std::map<std::string, TopicReplication> topics;
  std::map<model::BrokerId, ReplicaLag> brokers;  // by where the replica is
  std::optional<cluster::MeshMetrics> mesh;       // nullopt: the broker is alone
};
/// On the shard's loop. `mesh` may be null.
ReplicationCounts count_replication(service::Shard& shard, cluster::Mesh* mesh);
void add_replication(Exposition& out, std::uint32_t shard, const ReplicationCounts& counts);
/// Topics and brokers, all shards together.
void add_replication_totals(Exposition& out, const std::vector<const ReplicationCounts*>& shards);

/// The cluster as this broker knows it.
struct ClusterCounts {
  model::BrokerId self{-1};
  service::ClusterReport report;
  std::map<std::string, std::size_t> replication_factors;  // by topic
  // Nothing of a broker that is alone:
  std::optional<cluster::HubMetrics> hub;
  cluster::MeshMetrics heartbeats;
  service::KeeperCounters keeper;
  std::vector<metadata::MoveBlocker> blockers;
  model::Offset metadata_applied;
  /// The furthest that any broker says to have applied.
  model::Offset metadata_newest;
  std::int64_t permits = 0;
};
/// Asks for it; from any thread but the shards'. `membership` may be null.
std::future<ClusterCounts> begin_cluster_counts(service::Shard& first, Membership* membership);
void add_cluster_counts(Exposition& out, const ClusterCounts& counts);

}  // namespace millrace::server
