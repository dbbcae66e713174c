#include "broker/metadata/plan_moves.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "broker/metadata/move_draft.h"
#include "broker/metadata/plan_even.h"
#include "common/check.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::PartitionKey;

/// Why a replica must go elsewhere. What is silent for a while only, or not known, may stay.
enum class Leave : std::uint8_t { kNo, kDraining, kDead, kOtherDisk, kGone };

Leave must_leave(const MoveDraft& draft, const Replica& replica) {
  const auto broker = draft.image().brokers().find(replica.broker);
  if (broker == draft.image().brokers().end()) return Leave::kGone;
  if (!replica.directory.is_zero() && replica.directory != broker->second.directory)
    return Leave::kOtherDisk;
  const auto health = draft.view().brokers.find(replica.broker);
  if (health != draft.view().brokers.end() &&
      health->second.silent_ms >= draft.limits().dead_after_ms) {
    return Leave::kDead;
  }
  if (draft.image().state(replica.broker) != BrokerState::kActive) return Leave::kDraining;
  return Leave::kNo;
}

std::string_view text_of(Leave leave) {
  switch (leave) {
    case Leave::kDraining:
      return "draining";
    case Leave::kDead:
      return "dead";
    case Leave::kOtherDisk:
      return "on another disk";
    case Leave::kGone:
      return "gone";
    case Leave::kNo:
      break;
  }
  CHECK(false, "a replica that may stay");
  return {};
}

constexpr std::string_view kLeaderless =
    "a partition on it has no leader, so its voters cannot change";

constexpr std::string_view kVotes =
    "it votes on the metadata, of which not every voter is there to do without it";
constexpr PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};

/// A move that cannot go on, whatever becomes of its target.
void block_leaderless(MoveDraft& draft, const PartitionKey& key,
                      const PartitionAssignment& assignment) {
  const auto away = std::find_if(
      assignment.replicas.begin(), assignment.replicas.end(),
      [&](const Replica& replica) { return must_leave(draft, replica) != Leave::kNo; });
  const bool any = away != assignment.replicas.end();
  draft.block(any ? away->broker : assignment.replicas.front().broker, kLeaderless, key);
}

void look_at_moves(MoveDraft& draft) {
  draft.each_partition([&](const PartitionKey& key, const PartitionAssignment& assignment) {
    if (!assignment.moving()) return;
    const PartitionStatus* const status = draft.view().status(key);
    if (status != nullptr && status->leader && same_members(status->voters, assignment.target)) {
      draft.complete(key, assignment.target);
      return;
    }
    draft.count_move(assignment.replicas, assignment.target, status == nullptr ? 0 : status->bytes);
    if (status != nullptr && !status->leader) block_leaderless(draft, key, assignment);
  });
}

/// The emptiest broker, in the rack least used by those that stay or were chosen; nullopt: none is
/// free. What `from` holds of the partition is going and does not count.
std::optional<BrokerId> home_for(const MoveDraft& draft, const ReplicaSet& target,
                                 const ReplicaSet& staying, BrokerId from) {
  std::optional<BrokerId> best;
  const auto rank = [&](BrokerId id) {
    return std::tuple(draft.crowd(staying, id), draft.load(id) - (id == from ? 1 : 0), id != from,
                      id);
  };
  for (const auto& [id, broker] : draft.image().brokers()) {
    if (!draft.may_receive(id) || (id != from && holds(target, id))) continue;
    if (!best || rank(id) < rank(*best)) best = id;
  }
  return best;
}

/// Replaces what must leave, in a move under way as well: what is lost before what only drains, and
/// as much of it as there are homes for.
void heal(MoveDraft& draft, const PartitionKey& key, const PartitionAssignment& assignment) {
  if (draft.busy(key)) return;
  ReplicaSet target = assignment.moving() ? assignment.target : assignment.replicas;
  std::vector<std::pair<Leave, std::size_t>> leaving;
  ReplicaSet staying;
  for (std::size_t i = 0; i < target.size(); ++i) {
    const Leave leave = must_leave(draft, target[i]);
    if (leave != Leave::kNo) {
      leaving.emplace_back(leave, i);
    } else {
      staying.push_back(target[i]);
    }
  }
  if (leaving.empty()) return;
  const PartitionStatus* const status = draft.view().status(key);
  if (status == nullptr || !status->leader) {
    if (!assignment.moving()) draft.block(target[leaving.front().second].broker, kLeaderless, key);
    return;
  }
  std::stable_sort(leaving.begin(), leaving.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string reason;
  for (const auto& [leave, at] : leaving) {
    const BrokerId from = target[at].broker;
    const std::optional<BrokerId> home = home_for(draft, target, staying, from);
    if (home) {
      if (reason.empty()) reason = fmt::format("broker {} is {}", from, text_of(leave));
      target[at] = draft.replica_on(*home);
    } else {
      draft.block(from, "no other active broker is there to take a replica", key);
    }
    staying.push_back(target[at]);
  }
  if (!reason.empty()) draft.start({key, &assignment, std::move(target)}, std::move(reason));
}

/// Whoever is drained may be gone the next moment: the metadata must be able to do without it. Said
/// where that takes more than a moment.
bool may_vote_on_metadata(MoveDraft& draft, BrokerId broker) {
  const PartitionStatus* const status = draft.view().status(kMetadataKey);
  if (status == nullptr) return true;
  if (!holds(status->voters, broker)) return false;
  const bool all_there =
      std::all_of(status->voters.begin(), status->voters.end(),
                  [&](const Replica& voter) { return draft.view().alive(voter.broker); });
  if (!all_there) draft.block(broker, kVotes, kMetadataKey);
  return true;
}

void mark_drained(MoveDraft& draft) {
  const Image& image = draft.image();
  for (const auto& [id, broker] : image.brokers()) {
    if (image.state(id) != BrokerState::kDraining || image.replicas_on(id) != 0) continue;
    const BrokerId empty = id;
    const bool removing = std::any_of(
        image.removing().begin(), image.removing().end(),
        [empty](const auto& entry) { return entry.second.waiting_for.contains(empty); });
    const bool votes =
        std::any_of(draft.view().partitions.begin(), draft.view().partitions.end(),
                    [empty](const auto& entry) { return holds(entry.second.voters, empty); });
    if (removing || may_vote_on_metadata(draft, id) || votes) continue;
    draft.add(BrokerStateSet{id, BrokerState::kDrained}, "nothing is left on it");
  }
}

}  // namespace

MovePlan plan_moves(const Image& image, const View& view, const MoveLimits& limits) {
  CHECK(limits.moves_max > 0);
  CHECK(limits.moves_to_broker_max > 0);
  CHECK(limits.bytes_per_second > 0);
  MoveDraft draft(image, view, limits);
  look_at_moves(draft);
  draft.each_partition([&](const PartitionKey& key, const PartitionAssignment& assignment) {
    heal(draft, key, assignment);
  });
  // Only once nothing is under way: then counts are what they will be.
  if (draft.idle() && !draft.blocked()) even_topics(draft);
  if (draft.idle() && !draft.blocked()) even_totals(draft);
  if (draft.idle() && !draft.blocked()) even_bytes(draft);
  if (draft.idle() && !draft.blocked()) even_preferred_leaders(draft);
  mark_drained(draft);
  return draft.take();
}

}  // namespace millrace::metadata
