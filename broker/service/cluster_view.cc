#include "broker/service/cluster_view.h"

#include <utility>

namespace millrace::service {
namespace {

bool known_to(const metadata::Image& image, const model::PartitionKey& key) {
  return key.topic == model::kMetadataTopicId || image.assignment(key) != nullptr;
}

metadata::ReplicaSet replica_set(const std::vector<raft::ReplicaId>& replicas) {
  metadata::ReplicaSet set;
  set.reserve(replicas.size());
  for (const raft::ReplicaId& replica : replicas)
    set.push_back({.broker = replica.node, .directory = replica.directory});
  return set;
}

}  // namespace

void ClusterView::heard(model::BrokerId broker, const std::vector<LedPartition>& partitions) {
  for (auto& [key, known] : partitions_) {
    if (known.reporter == broker) known.led = false;
  }
  for (const LedPartition& partition : partitions) {
    Known& known = partitions_[partition.key];
    if (known.reporter != model::BrokerId{-1} && partition.term < known.partition.term) continue;
    known = {.reporter = broker, .led = true, .partition = partition};
  }
}

metadata::View ClusterView::view(const metadata::Image& image,
                                 std::map<model::BrokerId, metadata::BrokerHealth> brokers) const {
  metadata::View view{.brokers = std::move(brokers), .partitions = {}};
  for (const auto& [key, known] : partitions_) {
    if (!known_to(image, key)) continue;
    metadata::PartitionStatus status{.leader = std::nullopt,
                                     .voters = replica_set(known.partition.voters),
                                     .caught_up = replica_set(known.partition.caught_up),
                                     .bytes = known.partition.bytes,
                                     .insync_min = known.partition.insync_min};
    if (known.led && view.alive(known.reporter)) status.leader = known.reporter;
    view.partitions.emplace_hint(view.partitions.end(), key, std::move(status));
  }
  return view;
}

std::set<model::BrokerId> ClusterView::forget_gone(const metadata::Image& image) {
  std::set<model::BrokerId> reporters;
  std::erase_if(partitions_, [&](const auto& entry) {
    if (known_to(image, entry.first)) return false;
    reporters.insert(entry.second.reporter);
    return true;
  });
  return reporters;
}

}  // namespace millrace::service
