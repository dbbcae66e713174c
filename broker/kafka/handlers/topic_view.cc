#include "broker/kafka/handlers/topic_view.h"

#include <algorithm>

namespace millrace::kafka {

std::vector<BrokerView> broker_views(const service::Shard& shard,
                                     const env::Endpoint& own_address) {
  const service::Identity& identity = shard.identity();
  const std::string& own_rack = shard.settings().rack;
  std::vector<BrokerView> views;
  views.push_back({identity.node.value(), own_address.host, own_address.port,
                   own_rack.empty() ? std::nullopt : std::optional(own_rack)});
  for (const auto& [id, broker] : shard.image().brokers()) {
    if (id == identity.node) continue;
    for (const metadata::Endpoint& endpoint : broker.endpoints) {
      if (endpoint.name != "kafka") continue;
      views.push_back({id.value(), endpoint.host, endpoint.port,
                       broker.rack.empty() ? std::nullopt : std::optional(broker.rack)});
    }
  }
  std::sort(views.begin(), views.end(),
            [](const BrokerView& a, const BrokerView& b) { return a.id < b.id; });
  return views;
}

}  // namespace millrace::kafka
