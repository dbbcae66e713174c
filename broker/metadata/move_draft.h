// MoveDraft draft(image, view, limits);
// draft.start(key, assignment, target, "broker 3 is dead");   ...   return draft.take();
//
// A plan of moves while it is made: what the steps of plan_moves() share.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "broker/metadata/plan_moves.h"
#include "broker/metadata/replica_sets.h"

namespace millrace::metadata {

/// Where the replicas of a partition should go.
struct MoveWish {
  model::PartitionKey key;
  const PartitionAssignment* assignment = nullptr;
  ReplicaSet target;
};

/// All that it is made from outlives it.
class MoveDraft {
 public:
  MoveDraft(const Image& image, const View& view, const MoveLimits& limits);

  const Image& image() const { return image_; }
  const View& view() const { return view_; }
  const MoveLimits& limits() const { return limits_; }

  /// visit(key, assignment) of every partition of a topic, in order of index.
  template <typename Visit>
  void each_partition_of(const Topic& topic, const Visit& visit) const {
    for (std::int32_t index = 0; index < topic.partition_count(); ++index) {
      visit(model::PartitionKey{topic.id, model::PartitionIndex{index}},
            topic.assignments[static_cast<std::size_t>(index)]);
    }
  }
  /// The same of all topics, in order of name.
  template <typename Visit>
  void each_partition(const Visit& visit) const {
    for (const auto& [name, topic] : image_.topics()) each_partition_of(*topic, visit);
  }

  /// It is active and there, may not stop any moment (PermitGranted), and its disk takes writes.
  bool may_receive(model::BrokerId id) const;
  /// The status of a partition that is led and has every replica caught up, so that one of them may
  /// be exchanged for no need; nullptr otherwise, and where somebody chose them.
  const PartitionStatus* healthy(const model::PartitionKey& key,
                                 const PartitionAssignment& assignment) const;
  /// Replicas of a set that share the broker's rack; a broker without a rack shares it with no one.
  std::int64_t crowd(const ReplicaSet& replicas, model::BrokerId id) const;
  /// Replicas on a broker when everything that was started is done; of those that leave it only
  /// what left() was told.
  std::int64_t load(model::BrokerId id) const;
  const std::map<model::BrokerId, std::int64_t>& loads() const { return load_; }
  void left(model::BrokerId id) { --load_[id]; }
  /// The replica that a broker would hold now. Requires that it is registered.
  Replica replica_on(model::BrokerId id) const;

  /// A move that is under way counts towards the limits.
  void count_move(const ReplicaSet& from, const ReplicaSet& to, std::int64_t bytes);
  /// Whether nothing is under way and nothing was planned.
  bool idle() const { return moves_ == 0 && plan_.actions.empty(); }
  bool blocked() const { return !plan_.blockers.empty(); }
  bool busy(const model::PartitionKey& key) const { return busy_.contains(key); }

  /// Plans a move, or its end where the target is where the replicas are. False: the limits leave
  /// no room. Requires a known status.
  bool start(MoveWish wish, std::string reason);
  /// Both or none of two moves that go to different brokers.
  bool start_both(MoveWish one, MoveWish other, const std::string& reason);
  /// A move of nothing: the same replicas in another order. Limits do not matter.
  void reorder(MoveWish wish, std::string reason);
  void complete(const model::PartitionKey& key, const ReplicaSet& target);
  void add(Record record, std::string reason) {
    plan_.actions.push_back({std::move(record), std::move(reason)});
  }
  void block(model::BrokerId broker, std::string_view cause, const model::PartitionKey& key);

  /// The plan, with the rates of its moves.
  MovePlan take();

 private:
  std::int64_t bytes_of(const MoveWish& wish) const;
  /// `bytes`: to be copied, with what goes together with it.
  bool room_for(const MoveWish& wish, std::int64_t bytes) const;
  void begin(MoveWish wish, std::string reason);

  const Image& image_;
  const View& view_;
  const MoveLimits& limits_;
  MovePlan plan_;
  std::map<model::BrokerId, std::int64_t> load_;
  std::map<model::BrokerId, std::int32_t> moves_to_;
  std::set<model::PartitionKey> busy_;
  std::int32_t moves_ = 0;
  std::int64_t bytes_ahead_ = 0;
};

}  // namespace millrace::metadata
