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

namespace {

bool is_heard(const service::Shard& shard, model::BrokerId id) {
  return shard.neighbours() == nullptr || shard.alive(id) || is_cut_off(shard);
}

/// Heard or not.
std::optional<BrokerView> view_of(const service::Shard& shard, const Arrival& arrival,
                                  model::BrokerId id) {
  const auto rack_view = [](const std::string& rack) {
    return rack.empty() ? std::nullopt : std::optional(rack);
  };
  if (id == shard.identity().node && arrival.by_main_listener())
    return BrokerView{id.value(), arrival.own.host, arrival.own.port,
                      rack_view(shard.settings().rack)};
  const auto broker = shard.image().brokers().find(id);
  if (broker == shard.image().brokers().end()) return std::nullopt;
  const auto* const door = metadata::endpoint_named(broker->second, arrival.listener);
  if (door == nullptr) return std::nullopt;
  return BrokerView{id.value(), door->host, door->port, rack_view(broker->second.rack)};
}

}  // namespace

std::optional<BrokerView> broker_view(const service::Shard& shard, const Arrival& arrival,
                                      model::BrokerId id) {
  return is_heard(shard, id) ? view_of(shard, arrival, id) : std::nullopt;
}

bool has_address(const service::Shard& shard, const Arrival& arrival, model::BrokerId id) {
  if (arrival.by_main_listener()) return true;
  const auto broker = shard.image().brokers().find(id);
  return broker != shard.image().brokers().end() &&
         metadata::endpoint_named(broker->second, arrival.listener) != nullptr;
}

std::vector<BrokerView> broker_views(const service::Shard& shard, const Arrival& arrival) {
  std::set<model::BrokerId> ids{shard.identity().node};
  for (const auto& [id, broker] : shard.image().brokers()) ids.insert(id);
  std::vector<BrokerView> views;
  for (const model::BrokerId id : ids) {
    const bool listed =
        is_heard(shard, id) || (shard.neighbours() != nullptr && shard.neighbours()->just_lost(id));
    if (!listed) continue;
    if (auto view = view_of(shard, arrival, id)) views.push_back(std::move(*view));
  }
  return views;
}

std::int32_t controller_id(service::Shard& shard, const Arrival& arrival) {
  constexpr model::PartitionKey kMetadata{model::kMetadataTopicId, model::PartitionIndex{0}};
  const model::BrokerId leader = service::known_leader(shard, kMetadata).leader;
  // One that did not register yet is in no list of brokers, and clients wait for it to be there.
  for (const model::BrokerId candidate : {leader, shard.identity().node})
    if (broker_view(shard, arrival, candidate)) return candidate.value();
  const std::vector<BrokerView> others = broker_views(shard, arrival);
  return others.empty() ? shard.identity().node.value() : others.front().id;
}

model::BrokerId leader_to_name(const service::Shard& shard, const Arrival& arrival,
                               const service::KnownLeader& known,
                               const std::vector<std::int32_t>& replicas) {
  constexpr model::BrokerId kNobody{-1};
  if (known.leader != kNobody && shard.alive(known.leader)) return known.leader;
  if (!is_cut_off(shard)) return kNobody;
  if (known.leader != kNobody) return known.leader;
  const auto other = std::find_if(replicas.begin(), replicas.end(), [&](std::int32_t replica) {
    return model::BrokerId{replica} != shard.identity().node &&
           has_address(shard, arrival, model::BrokerId{replica});
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
