// report_cluster(here, [](ClusterReport report) { ... });
//
// Use case: how brokers and partitions are, as far as the broker that is asked knows. Nobody else
// is asked, so it is answered whoever is away.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "broker/metadata/endpoints.h"
#include "broker/metadata/image.h"
#include "broker/service/leaders.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// What was heard of a broker.
struct BrokerLife {
  bool alive = false;
  /// Since it was last heard; nullopt: not known.
  std::optional<common::Duration> silence;
  /// Its partitions are replayed and caught up.
  bool recovered = false;
  /// It refuses writes.
  bool out_of_space = false;
};

struct BrokerReport {
  model::BrokerId id{-1};
  /// nullopt: it is heard, and is not registered (any more).
  std::optional<metadata::Broker> registered;
  metadata::BrokerState state = metadata::BrokerState::kActive;
  BrokerLife life;
  bool votes_on_metadata = false;
  /// Partitions that it leads; replicas that it has, is to get or is to give away, and how many of
  /// them are not in sync, or not known to be.
  std::int32_t leads = 0;
  std::int32_t replicas = 0;
  std::int32_t behind = 0;
  std::optional<metadata::Permit> permit;

  /// nullptr: it registered none of this name (broker/metadata/endpoints.h).
  const metadata::Endpoint* endpoint(std::string_view name) const {
    return registered ? metadata::endpoint_named(*registered, name) : nullptr;
  }
};

struct PartitionReport {
  model::PartitionKey key;
  std::string topic;
  /// -1: nobody that is heard.
  model::BrokerId leader{-1};
  metadata::Replicas replicas;
  /// Empty: they stay where they are.
  metadata::Replicas target;
  /// Those that are heard.
  metadata::Replicas in_sync;
  /// What acks=all asks for: min.insync.replicas, or all replicas if they are fewer.
  std::int32_t in_sync_min = 1;

  bool offline() const { return leader == model::BrokerId{-1}; }
  bool below_min() const { return !offline() && std::cmp_less(in_sync.size(), in_sync_min); }
  bool under_replicated() const { return in_sync.size() < replicas.size(); }
  bool at_min() const { return under_replicated() && std::cmp_equal(in_sync.size(), in_sync_min); }
  bool moving() const { return !target.empty(); }
  bool preferred() const { return offline() || leader == replicas.front(); }
};

struct ClusterReport {
  model::BrokerId metadata_leader{-1};
  std::vector<BrokerReport> brokers;        // in order of id
  std::vector<PartitionReport> partitions;  // in order of topic and index
};

/// What a report is made of.
struct ClusterFacts {
  const metadata::Image& image;
  model::BrokerLayers layers;
  std::map<model::BrokerId, BrokerLife> brokers;
  model::BrokerId metadata_leader{-1};
  std::set<model::BrokerId> metadata_voters;
  /// In the order of partitions_in().
  std::vector<KnownLeader> leaders;
};
std::vector<model::PartitionKey> partitions_in(const metadata::Image& image);
/// Pure. Leaders and replicas in sync that are not alive do not count.
ClusterReport make_report(const ClusterFacts& facts);

/// Answers on `here`'s loop. Cost: a look at every partition of the cluster, on the first shard.
void report_cluster(Shard& here, common::Reply<ClusterReport> done);

}  // namespace millrace::service
