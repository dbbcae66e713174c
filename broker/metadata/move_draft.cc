#include "broker/metadata/move_draft.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace millrace::metadata {

using model::BrokerId;
using model::PartitionKey;

MoveDraft::MoveDraft(const Image& image, const View& view, const MoveLimits& limits)
    : image_(image), view_(view), limits_(limits) {
  for (const auto& [id, broker] : image.brokers()) load_[id] = image.replicas_on(id);
}

bool MoveDraft::may_receive(BrokerId id) const {
  return image_.state(id) == BrokerState::kActive && view_.takes_writes(id) &&
         !image_.permits().contains(id);
}

const PartitionStatus* MoveDraft::healthy(const PartitionKey& key,
                                          const PartitionAssignment& assignment) const {
  if (assignment.by_hand) return nullptr;
  const PartitionStatus* const status = view_.status(key);
  if (status == nullptr || !status->leader) return nullptr;
  return same_members(status->caught_up, assignment.replicas) ? status : nullptr;
}

std::int64_t MoveDraft::crowd(const ReplicaSet& replicas, BrokerId id) const {
  const auto broker = image_.brokers().find(id);
  if (broker == image_.brokers().end() || broker->second.rack.empty()) return 0;
  return std::count_if(replicas.begin(), replicas.end(), [&](const Replica& replica) {
    const auto other = image_.brokers().find(replica.broker);
    return replica.broker != id && other != image_.brokers().end() &&
           other->second.rack == broker->second.rack;
  });
}

std::int64_t MoveDraft::load(BrokerId id) const {
  const auto found = load_.find(id);
  CHECK(found != load_.end(), "broker {} is not registered", id);
  return found->second;
}

Replica MoveDraft::replica_on(BrokerId id) const {
  const auto broker = image_.brokers().find(id);
  CHECK(broker != image_.brokers().end(), "broker {} is not registered", id);
  return {.broker = id, .directory = broker->second.directory};
}

void MoveDraft::count_move(const ReplicaSet& from, const ReplicaSet& to, std::int64_t bytes) {
  ++moves_;
  for (const Replica& replica : to) {
    if (contains(from, replica)) continue;
    ++moves_to_[replica.broker];
    bytes_ahead_ += bytes;
  }
}

std::int64_t MoveDraft::bytes_of(const MoveWish& wish) const {
  const PartitionStatus* const status = view_.status(wish.key);
  CHECK(status != nullptr);
  return status->bytes;
}

bool MoveDraft::room_for(const MoveWish& wish, std::int64_t bytes) const {
  if (moves_ >= limits_.moves_max) return false;
  if (moves_ > 0 && bytes_ahead_ + bytes > limits_.bytes_per_second * limits_.seconds_ahead)
    return false;
  const ReplicaSet& from = wish.assignment->replicas;
  return std::all_of(wish.target.begin(), wish.target.end(), [&](const Replica& replica) {
    const auto there = moves_to_.find(replica.broker);
    return contains(from, replica) || there == moves_to_.end() ||
           there->second < limits_.moves_to_broker_max;
  });
}

void MoveDraft::begin(MoveWish wish, std::string reason) {
  CHECK(!busy(wish.key));
  const ReplicaSet& from = wish.assignment->replicas;
  count_move(from, wish.target, bytes_of(wish));
  for (const Replica& replica : wish.target) {
    if (!holds(from, replica.broker)) ++load_[replica.broker];
  }
  busy_.insert(wish.key);
  add(MoveStarted{wish.key, std::move(wish.target)}, std::move(reason));
}

bool MoveDraft::start(MoveWish wish, std::string reason) {
  if (wish.target == wish.assignment->replicas) {
    CHECK(wish.assignment->moving());
    busy_.insert(wish.key);
    add(MoveCancelled{wish.key}, std::move(reason));
    return true;
  }
  if (!room_for(wish, bytes_of(wish))) return false;
  begin(std::move(wish), std::move(reason));
  return true;
}

bool MoveDraft::start_both(MoveWish one, MoveWish other, const std::string& reason) {
  const std::int64_t bytes = bytes_of(one) + bytes_of(other);
  if (moves_ + 2 > limits_.moves_max || !room_for(one, bytes) || !room_for(other, bytes))
    return false;
  begin(std::move(one), reason);
  begin(std::move(other), reason);
  return true;
}

void MoveDraft::reorder(MoveWish wish, std::string reason) {
  CHECK(same_members(wish.target, wish.assignment->replicas));
  CHECK(wish.target != wish.assignment->replicas);
  begin(std::move(wish), std::move(reason));
}

void MoveDraft::complete(const PartitionKey& key, const ReplicaSet& target) {
  busy_.insert(key);
  add(MoveCompleted{key, target}, "its voters are there");
}

void MoveDraft::block(BrokerId broker, std::string_view cause, const PartitionKey& key) {
  for (MoveBlocker& blocker : plan_.blockers) {
    if (blocker.broker != broker || blocker.cause != cause) continue;
    ++blocker.partitions;
    return;
  }
  plan_.blockers.push_back(
      {.broker = broker, .cause = std::string(cause), .partitions = 1, .example = key});
}

MovePlan MoveDraft::take() {
  return std::move(plan_);
}

}  // namespace millrace::metadata
