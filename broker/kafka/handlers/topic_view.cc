#include "broker/kafka/handlers/topic_view.h"

#include <algorithm>

#include "broker/metadata/endpoints.h"

namespace millrace::kafka {

bool is_cut_off(const service::Shard& shard) {
  const auto& brokers = shard.image().brokers();
  const auto heard = std::count_if(brokers.begin(), brokers.end(),
                                   [&](const auto& broker) { return shard.alive(broker.first); });
  return heard * 2 <= static_cast<std::ptrdiff_t>(brokers.size()) && brokers.size() > 1;
}

std::optional<BrokerView> broker_view(const service::Shard& shard, const env::Endpoint& own_address,
                                      model::BrokerId id) {
  const auto rack_view = [](const std::string& rack) {
    return rack.empty() ? std::nullopt : std::optional(rack);
  };
  if (id == shard.identity().node)
    return BrokerView{id.value(), own_address.host, own_address.port,
                      rack_view(shard.settings().rack)};
  const auto broker = shard.image().brokers().find(id);
  if (broker == shard.image().brokers().end()) return std::nullopt;
  if (shard.neighbours() != nullptr && !shard.alive(id) && !is_cut_off(shard)) return std::nullopt;
  const auto* const door = metadata::endpoint_named(broker->second, metadata::kKafkaEndpoint);
  if (door == nullptr) return std::nullopt;
  return BrokerView{id.value(), door->host, door->port, rack_view(broker->second.rack)};
}

std::vector<BrokerView> broker_views(const service::Shard& shard,
                                     const env::Endpoint& own_address) {
  std::set<model::BrokerId> ids{shard.identity().node};
  for (const auto& [id, broker] : shard.image().brokers()) ids.insert(id);
  std::vector<BrokerView> views;
  for (const model::BrokerId id : ids) {
    if (auto view = broker_view(shard, own_address, id)) views.push_back(std::move(*view));
  }
  return views;
}

std::int32_t controller_id(service::Shard& shard) {
  constexpr model::PartitionKey kMetadata{model::kMetadataTopicId, model::PartitionIndex{0}};
  const model::BrokerId leader = service::known_leader(shard, kMetadata).leader;
  // One that did not register yet is in no list of brokers, and clients wait for it to be there.
  const bool listed = broker_view(shard, {}, leader).has_value();
  return listed ? leader.value() : shard.identity().node.value();
}

model::BrokerId leader_to_name(const service::Shard& shard, const service::KnownLeader& known,
                               const std::vector<std::int32_t>& replicas) {
  constexpr model::BrokerId kNobody{-1};
  if (known.leader != kNobody && shard.alive(known.leader)) return known.leader;
  if (!is_cut_off(shard)) return kNobody;
  if (known.leader != kNobody) return known.leader;
  const auto other = std::find_if(replicas.begin(), replicas.end(), [&](std::int32_t replica) {
    return model::BrokerId{replica} != shard.identity().node;
  });
  return other == replicas.end() ? kNobody : model::BrokerId{*other};
}

std::vector<model::BrokerId> replicas_of(const metadata::PartitionAssignment& assignment) {
  std::vector<model::BrokerId> replicas;
  for (const auto* set : {&assignment.target, &assignment.replicas}) {
    for (const metadata::Replica& replica : *set) {
      if (std::find(replicas.begin(), replicas.end(), replica.broker) == replicas.end())
        replicas.push_back(replica.broker);
    }
  }
  return replicas;
}

}  // namespace millrace::kafka
