#include "broker/metadata/restart_permit.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "broker/metadata/replica_sets.h"
#include "common/check.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::PartitionKey;

/// What a partition needs to go on: fewer than all of its voters, or none could ever be restarted.
std::int32_t needed(const PartitionStatus& status) {
  const auto voters = static_cast<std::int32_t>(status.voters.size());
  const std::int32_t wanted = std::max(voters / 2 + 1, status.insync_min);
  return std::min(wanted, voters - 1);
}

bool has_spare(const PartitionStatus& status) {
  const auto voters = static_cast<std::int32_t>(status.voters.size());
  return std::max(voters / 2 + 1, status.insync_min) < voters;
}

/// All that cannot be counted on once `broker` stops.
std::set<BrokerId> away_with(const Image& image, const View& view, const PermitRequest& request) {
  std::set<BrokerId> away{request.broker};
  for (const auto& [id, permit] : image.permits()) {
    if (permit.expires_at_ms > request.now_ms) away.insert(id);
  }
  for (const auto& [id, broker] : image.brokers()) {
    if (!view.alive(id)) away.insert(id);
  }
  return away;
}

void block(PermitBlocker blocker, PermitAnswer& answer) {
  ++answer.blocked_partitions;
  if (answer.blockers.size() < kBlockersMax) answer.blockers.push_back(std::move(blocker));
}

void judge(const PartitionKey& key, const PartitionStatus& status, const std::set<BrokerId>& away,
           PermitAnswer& answer) {
  PermitBlocker blocker{.partition = key, .left = 0, .needed = needed(status), .missing = {}};
  for (const Replica& voter : status.voters) {
    // Without a leader nobody knows who is caught up.
    const bool caught_up = status.leader && contains(status.caught_up, voter);
    if (caught_up && !away.contains(voter.broker)) {
      ++blocker.left;
    } else {
      blocker.missing.push_back(voter.broker);
    }
  }
  if (!has_spare(status)) ++answer.pausing_partitions;
  if (blocker.left < blocker.needed) block(std::move(blocker), answer);
}

void block_unknown(const PartitionKey& key, Replicas missing, PermitAnswer& answer) {
  block({.partition = key, .left = 0, .needed = 1, .missing = std::move(missing)}, answer);
}

/// While a partition moves its voters change one by one, and every set on the way has to do.
void judge_move(const PartitionKey& key, const PartitionAssignment& wanted,
                const PartitionStatus& status, const std::set<BrokerId>& away,
                const PermitRequest& request, PermitAnswer& answer) {
  ReplicaSet concerned = status.voters;
  for (const Replica& replica : wanted.target) {
    if (!holds(concerned, replica.broker)) concerned.push_back(replica);
  }
  if (!wanted.moving() || !holds(concerned, request.broker)) return;
  PermitBlocker blocker{.partition = key, .left = 0, .needed = 0, .missing = {}};
  blocker.needed = static_cast<std::int32_t>(concerned.size()) - 1;
  for (const Replica& replica : concerned) {
    if (!away.contains(replica.broker)) {
      ++blocker.left;
    } else {
      blocker.missing.push_back(replica.broker);
    }
  }
  if (blocker.left < blocker.needed) block(std::move(blocker), answer);
}

/// Partitions that may vote on the broker and of which nothing is known: those that the image puts
/// there, and the metadata log's, of which it says nothing.
void judge_unknown(const Image& image, const View& view, BrokerId broker, PermitAnswer& answer) {
  const PartitionKey metadata{model::kMetadataTopicId, model::PartitionIndex{0}};
  if (view.status(metadata) == nullptr) block_unknown(metadata, {}, answer);
  for (const auto& [name, topic] : image.topics()) {
    for (std::int32_t index = 0; index < topic->partition_count(); ++index) {
      const PartitionKey key{topic->id, model::PartitionIndex{index}};
      const auto at = static_cast<std::size_t>(index);
      const PartitionAssignment& wanted = topic->assignments[at];
      if (!holds(wanted.replicas, broker) && !holds(wanted.target, broker)) continue;
      if (view.status(key) == nullptr) block_unknown(key, topic->partitions[at], answer);
    }
  }
}

}  // namespace

PermitAnswer restart_permit(const Image& image, const View& view, const PermitRequest& request) {
  CHECK(request.lasts_ms > 0);
  PermitAnswer answer;
  const auto broker = image.brokers().find(request.broker);
  if (broker == image.brokers().end()) {
    answer.refusal = fmt::format("broker {} is not registered", request.broker);
    return answer;
  }
  if (broker->second.incarnation != request.incarnation) {
    answer.refusal = fmt::format("broker {} was restarted since", request.broker);
    return answer;
  }
  const auto held = image.permits().find(request.broker);
  if (held != image.permits().end() && held->second.incarnation == request.incarnation &&
      held->second.expires_at_ms > request.now_ms) {
    answer.granted = true;
    return answer;
  }
  const std::set<BrokerId> away = away_with(image, view, request);
  for (const auto& [key, status] : view.partitions) {
    const std::int64_t blocked = answer.blocked_partitions;
    if (holds(status.voters, request.broker)) judge(key, status, away, answer);
    const PartitionAssignment* const wanted = image.assignment(key);
    if (wanted != nullptr && answer.blocked_partitions == blocked)
      judge_move(key, *wanted, status, away, request, answer);
  }
  judge_unknown(image, view, request.broker, answer);
  answer.granted = answer.blocked_partitions == 0;
  CHECK(answer.granted == answer.blockers.empty());
  if (answer.granted) {
    answer.records.emplace_back(PermitGranted{request.broker, request.incarnation,
                                              request.now_ms + request.lasts_ms, request.lasts_ms});
  }
  return answer;
}

std::vector<Record> permits_due(const Image& image, const View& view, std::int64_t now_ms) {
  std::vector<Record> records;
  for (const auto& [id, permit] : image.permits()) {
    const auto broker = image.brokers().find(id);
    CHECK(broker != image.brokers().end(), "a permit of broker {}, which is not registered", id);
    const bool came_back = broker->second.incarnation != permit.incarnation && view.recovered(id);
    const std::int64_t lasts_until = now_ms + permit.lasts_ms;
    if (permit.expires_at_ms <= now_ms || came_back) {
      records.emplace_back(PermitEnded{id, permit.incarnation});
    } else if (permit.lasts_ms > 0 && permit.expires_at_ms > lasts_until) {
      records.emplace_back(PermitGranted{id, permit.incarnation, lasts_until, permit.lasts_ms});
    }
  }
  return records;
}

}  // namespace millrace::metadata
