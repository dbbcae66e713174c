#include "broker/metadata/plan_leaders.h"

#include <optional>

#include "broker/metadata/replica_sets.h"
#include "common/check.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::PartitionKey;

bool may_stop(const Image& image, BrokerId broker, std::int64_t now_ms) {
  const auto permit = image.permits().find(broker);
  return permit != image.permits().end() && permit->second.expires_at_ms > now_ms;
}

bool may_lead(const Image& image, const View& view, BrokerId broker, std::int64_t now_ms) {
  return view.recovered(broker) && view.takes_writes(broker) && image.brokers().contains(broker) &&
         image.state(broker) == BrokerState::kActive && !may_stop(image, broker, now_ms);
}

std::optional<LeaderTransfer> transfer_of(const Image& image, const View& view,
                                          const PartitionKey& key, std::int64_t now_ms) {
  const PartitionAssignment& wanted = *image.assignment(key);
  const PartitionStatus* const status = view.status(key);
  if (status == nullptr || !status->leader) return std::nullopt;
  const BrokerId leader = *status->leader;
  const bool draining = image.state(leader) != BrokerState::kActive;
  const bool must_go = draining || may_stop(image, leader, now_ms);
  if (!must_go && wanted.moving()) return std::nullopt;
  for (const Replica& replica : wanted.replicas) {
    if (replica.broker == leader) {
      if (must_go) continue;
      return std::nullopt;  // no one that is preferred to it can lead
    }
    if (contains(status->caught_up, replica) && may_lead(image, view, replica.broker, now_ms)) {
      return LeaderTransfer{.partition = key,
                            .from = leader,
                            .to = replica.broker,
                            .reason = draining  ? "draining"
                                      : must_go ? "may stop"
                                                : "preferred"};
    }
    // Only the first replica is worth a hand-over that nobody needs.
    if (!must_go) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::vector<LeaderTransfer> plan_leaders(const Image& image, const View& view, std::int64_t now_ms,
                                         std::size_t transfers_max) {
  CHECK(transfers_max > 0);
  std::vector<LeaderTransfer> needed;
  std::vector<LeaderTransfer> wished;
  for (const auto& [name, topic] : image.topics()) {
    for (std::int32_t index = 0; index < topic->partition_count(); ++index) {
      const PartitionKey key{topic->id, model::PartitionIndex{index}};
      const auto transfer = transfer_of(image, view, key, now_ms);
      if (!transfer) continue;
      (transfer->reason == "preferred" ? wished : needed).push_back(*transfer);
    }
  }
  needed.insert(needed.end(), wished.begin(), wished.end());
  if (needed.size() > transfers_max) needed.resize(transfers_max);
  return needed;
}

}  // namespace millrace::metadata
