#include "broker/service/cluster_report.h"

#include <algorithm>
#include <utility>

#include "broker/model/topic_settings.h"
#include "broker/service/cluster_keeper.h"
#include "broker/service/everywhere.h"
#include "broker/service/neighbours.h"

namespace millrace::service {
namespace {

using model::BrokerId;

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};

bool contains(const metadata::Replicas& replicas, BrokerId broker) {
  return std::find(replicas.begin(), replicas.end(), broker) != replicas.end();
}

metadata::Replicas brokers_of(const metadata::ReplicaSet& replicas) {
  metadata::Replicas brokers;
  brokers.reserve(replicas.size());
  for (const metadata::Replica& replica : replicas) brokers.push_back(replica.broker);
  return brokers;
}

class Reporter {
 public:
  explicit Reporter(const ClusterFacts& facts) : facts_(facts) {}

  ClusterReport report() {
    ClusterReport report;
    if (alive(facts_.metadata_leader)) report.metadata_leader = facts_.metadata_leader;
    brokers();
    report.partitions = partitions();
    for (auto& [id, broker] : brokers_) report.brokers.push_back(std::move(broker));
    return report;
  }

 private:
  bool alive(BrokerId broker) const {
    const auto found = facts_.brokers.find(broker);
    return found != facts_.brokers.end() && found->second.alive;
  }

  void brokers() {
    for (const auto& [id, registered] : facts_.image.brokers()) {
      BrokerReport& broker = brokers_[id];
      broker.registered = registered;
      broker.state = facts_.image.state(id);
      const auto permit = facts_.image.permits().find(id);
      if (permit != facts_.image.permits().end()) broker.permit = permit->second;
    }
    for (const auto& [id, life] : facts_.brokers) {
      if (life.alive || brokers_.contains(id)) brokers_[id].life = life;
    }
    for (auto& [id, broker] : brokers_) {
      broker.id = id;
      broker.votes_on_metadata = facts_.metadata_voters.contains(id);
    }
  }

  std::vector<PartitionReport> partitions() {
    std::vector<PartitionReport> partitions;
    partitions.reserve(facts_.leaders.size());
    for (const auto& [name, topic] : facts_.image.topics()) {
      const std::int32_t minimum =
          model::resolve_topic_settings(topic->configs, facts_.layers).min_insync_replicas;
      for (std::int32_t index = 0; index < topic->partition_count(); ++index) {
        CHECK(partitions.size() < facts_.leaders.size());
        const KnownLeader& known = facts_.leaders[partitions.size()];
        partitions.push_back(partition(*topic, index, minimum, known));
      }
    }
    return partitions;
  }

  PartitionReport partition(const metadata::Topic& topic, std::int32_t index, std::int32_t minimum,
                            const KnownLeader& known) {
    const auto& wanted = topic.assignments[static_cast<std::size_t>(index)];
    PartitionReport partition{.key = {topic.id, model::PartitionIndex{index}},
                              .topic = topic.name,
                              .replicas = brokers_of(wanted.replicas),
                              .target = brokers_of(wanted.target),
                              .in_sync = {}};
    partition.in_sync_min = std::min(minimum, static_cast<std::int32_t>(partition.replicas.size()));
    if (alive(known.leader)) partition.leader = known.leader;
    for (const BrokerId broker : known.in_sync) {
      if (alive(broker)) partition.in_sync.push_back(broker);
    }
    if (!partition.offline()) ++brokers_[partition.leader].leads;
    count(partition);
    return partition;
  }

  void count(const PartitionReport& partition) {
    metadata::Replicas holders = partition.replicas;
    for (const BrokerId broker : partition.target) {
      if (!contains(holders, broker)) holders.push_back(broker);
    }
    for (const BrokerId broker : holders) {
      const auto found = brokers_.find(broker);
      if (found == brokers_.end()) continue;  // a broker that has left
      ++found->second.replicas;
      if (!contains(partition.in_sync, broker)) ++found->second.behind;
    }
  }

  const ClusterFacts& facts_;
  std::map<BrokerId, BrokerReport> brokers_;
};

std::map<BrokerId, BrokerLife> lives(Shard& first) {
  ClusterKeeper* const keeper = first.keeper();
  std::map<BrokerId, BrokerLife> lives;
  lives[first.identity().node] = {
      .alive = true,
      .silence = common::Duration{0},
      .recovered = true,
      .out_of_space = keeper == nullptr ? first.store().out_of_space() : !keeper->has_room()};
  if (keeper == nullptr) return lives;
  for (const cluster::Health& one : keeper->health()) {
    lives[one.node] = {.alive = one.alive,
                       .silence = one.alive ? common::Duration{0} : one.silence,
                       .recovered = one.alive && one.state.recovered,
                       .out_of_space = one.alive && one.state.out_of_space};
  }
  return lives;
}

/// -1: nobody is known to.
BrokerId metadata_leader(Shard& first) {
  if (first.neighbours() == nullptr) return first.identity().node;
  return known_leader(first, kMetadataKey).leader;
}

std::set<BrokerId> metadata_voters(Shard& first) {
  if (first.neighbours() == nullptr) return {first.identity().node};
  std::set<BrokerId> voters;
  const replica::Partition* const log = first.replicas().find_any(kMetadataKey);
  if (log == nullptr || log->group() == nullptr) return voters;
  for (const raft::ReplicaId& voter : log->group()->config().voters) voters.insert(voter.node);
  return voters;
}

void report_on_first(Shard& first, common::Reply<ClusterReport> done) {
  std::vector<model::PartitionKey> keys = partitions_in(first.image());
  // Topics that come and go while the shards are asked must not shift the answers.
  metadata::Image image = first.image();
  known_leaders(first, std::move(keys),
                [&first, image = std::move(image),
                 done = std::move(done)](std::vector<KnownLeader> leaders) mutable {
                  const ClusterFacts facts{.image = image,
                                           .layers = first.layers(),
                                           .brokers = lives(first),
                                           .metadata_leader = metadata_leader(first),
                                           .metadata_voters = metadata_voters(first),
                                           .leaders = std::move(leaders)};
                  done(make_report(facts));
                });
}

}  // namespace

std::vector<model::PartitionKey> partitions_in(const metadata::Image& image) {
  std::vector<model::PartitionKey> keys;
  keys.reserve(static_cast<std::size_t>(image.partition_total()));
  for (const auto& [name, topic] : image.topics()) {
    for (std::int32_t index = 0; index < topic->partition_count(); ++index)
      keys.push_back({topic->id, model::PartitionIndex{index}});
  }
  return keys;
}

ClusterReport make_report(const ClusterFacts& facts) {
  return Reporter(facts).report();
}

void report_cluster(Shard& here, common::Reply<ClusterReport> done) {
  auto reply = reply_on<ClusterReport>(here, std::move(done));
  here.first().loop().post([&first = here.first(), reply = std::move(reply)]() mutable {
    report_on_first(first, std::move(reply));
  });
}

}  // namespace millrace::service
