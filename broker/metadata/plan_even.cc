#include "broker/metadata/plan_even.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/check.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::PartitionKey;

/// The set with the replica of `from` on `to` instead; nullopt: `to` has one, or the set would be
/// less spread over racks.
std::optional<ReplicaSet> exchanged(const MoveDraft& draft, const ReplicaSet& replicas,
                                    BrokerId from, BrokerId to) {
  if (holds(replicas, to)) return std::nullopt;
  ReplicaSet others = replicas;
  std::erase_if(others, [from](const Replica& replica) { return replica.broker == from; });
  CHECK(others.size() + 1 == replicas.size());
  if (draft.crowd(others, to) > draft.crowd(others, from)) return std::nullopt;
  ReplicaSet target = replicas;
  for (Replica& replica : target) {
    if (replica.broker == from) replica = draft.replica_on(to);
  }
  return target;
}

/// What is evened out first decides; the other one breaks ties.
enum class Evenness : std::uint8_t { kOfTopics, kOfTotals };

/// Replicas of one topic by broker, as they will be, next to the brokers' totals in the draft.
class TopicCounts {
 public:
  TopicCounts(MoveDraft& draft, const Topic& topic) : draft_(draft) {
    for (const PartitionAssignment& assignment : topic.assignments) {
      for (const Replica& replica : assignment.replicas) ++counts_[replica.broker];
    }
  }

  /// Moves at most one replica of the partition, to where it evens out most.
  void shift_one(const PartitionKey& key, const PartitionAssignment& assignment, Evenness what) {
    std::optional<Shift> best;
    for (const Replica& replica : assignment.replicas) {
      for (const auto& [to, load] : draft_.loads()) {
        if (!draft_.may_receive(to)) continue;
        const auto gain = gain_of(replica.broker, to, what);
        if (!gain || (best && *gain <= best->gain)) continue;
        auto target = exchanged(draft_, assignment.replicas, replica.broker, to);
        if (target) best = Shift{*gain, replica.broker, to, *std::move(target)};
      }
    }
    if (!best) return;
    auto reason = reason_of(*best, what);
    if (!draft_.start({key, &assignment, std::move(best->target)}, std::move(reason))) return;
    draft_.left(best->from);
    --counts_[best->from];
    ++counts_[best->to];
  }

 private:
  using Gain = std::pair<std::int64_t, std::int64_t>;
  struct Shift {
    Gain gain;
    BrokerId from;
    BrokerId to;
    ReplicaSet target;
  };

  /// nullopt: it would not become more even. Totals never cost the evenness of a topic: then
  /// neither could ever undo the other.
  std::optional<Gain> gain_of(BrokerId from, BrokerId to, Evenness what) const {
    const std::int64_t in_topic = count(from) - count(to);
    const std::int64_t in_total = draft_.load(from) - draft_.load(to);
    if (what == Evenness::kOfTopics) {
      if (in_topic < 2) return std::nullopt;
      return Gain{in_topic, in_total};
    }
    if (in_total < 2 || in_topic < 1) return std::nullopt;
    return Gain{in_total, in_topic};
  }

  std::string reason_of(const Shift& shift, Evenness what) const {
    if (what == Evenness::kOfTopics) {
      return fmt::format("broker {} has {} replicas of the topic, broker {} has {}", shift.from,
                         count(shift.from), shift.to, count(shift.to));
    }
    return fmt::format("broker {} has {} replicas, broker {} has {}", shift.from,
                       draft_.load(shift.from), shift.to, draft_.load(shift.to));
  }

  std::int64_t count(BrokerId id) const {
    const auto found = counts_.find(id);
    return found == counts_.end() ? 0 : found->second;
  }

  MoveDraft& draft_;
  std::map<BrokerId, std::int64_t> counts_;
};

void even_out(MoveDraft& draft, Evenness what) {
  for (const auto& [name, topic] : draft.image().topics()) {
    TopicCounts counts(draft, *topic);
    draft.each_partition_of(*topic,
                            [&](const PartitionKey& key, const PartitionAssignment& assignment) {
                              if (draft.busy(key) || draft.healthy(key, assignment) == nullptr)
                                return;
                              counts.shift_one(key, assignment, what);
                            });
  }
}

/// Replicas of one broker that may be exchanged, the smallest first.
struct Piece {
  std::int64_t bytes = 0;
  PartitionKey key;
  const PartitionAssignment* assignment = nullptr;
};

struct Swap {
  Piece large;
  Piece small;
  std::int64_t evened = 0;
};

class ByteScales {
 public:
  explicit ByteScales(MoveDraft& draft) : draft_(draft) {
    for (const auto& [id, broker] : draft.image().brokers()) {
      if (draft.may_receive(id)) weights_[id] = 0;
    }
    draft.each_partition([this](const PartitionKey& key, const PartitionAssignment& assignment) {
      const PartitionStatus* const status = draft_.view().status(key);
      // Where not all is known, what looks light may be heavy.
      if (status == nullptr) complete_ = false;
      if (status == nullptr) return;
      const bool healthy = draft_.healthy(key, assignment) != nullptr;
      for (const Replica& replica : assignment.replicas) {
        const auto weight = weights_.find(replica.broker);
        if (weight == weights_.end()) continue;
        weight->second += status->bytes;
        if (healthy) pieces_[replica.broker].push_back({status->bytes, key, &assignment});
      }
    });
    for (auto& [id, pieces] : pieces_) {
      std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
        return std::tuple(a.bytes, a.key) < std::tuple(b.bytes, b.key);
      });
    }
  }

  /// One swap between the two brokers that differ most of those that can be evened. False: there is
  /// none, or no room for it.
  bool swap_once() {
    if (!complete_) return false;
    for (const auto& [gap, from, to] : uneven_pairs()) {
      if (const auto swap = best_swap(from, to, gap)) return carry_out(*swap, from, to);
    }
    return false;
  }

 private:
  struct Pair {
    std::int64_t gap = 0;
    BrokerId from;
    BrokerId to;
  };

  std::vector<Pair> uneven_pairs() const {
    std::vector<Pair> pairs;
    for (const auto& [from, more] : weights_) {
      for (const auto& [to, less] : weights_) {
        const std::int64_t gap = more - less;
        if (gap >= draft_.limits().bytes_uneven_min && gap > more / 5)
          pairs.push_back({gap, from, to});
      }
    }
    std::stable_sort(pairs.begin(), pairs.end(),
                     [](const Pair& a, const Pair& b) { return a.gap > b.gap; });
    return pairs;
  }

  /// Of a large piece on `from` and a small one on `to`, whose sizes differ by as near to half the
  /// gap as there are.
  std::optional<Swap> best_swap(BrokerId from, BrokerId to, std::int64_t gap) const {
    const std::vector<Piece> large = movable(from, to);
    const std::vector<Piece> small = movable(to, from);
    if (small.empty()) return std::nullopt;
    std::optional<Swap> best;
    for (const Piece& one : large) {
      const std::int64_t wanted = one.bytes - gap / 2;
      auto at = std::lower_bound(
          small.begin(), small.end(), wanted,
          [](const Piece& piece, std::int64_t size) { return piece.bytes < size; });
      // The neighbours on both sides of the wanted size.
      if (at != small.begin()) --at;
      for (int i = 0; i < 2 && at != small.end(); ++i, ++at) {
        const Swap swap{one, *at, evened_by(one.bytes - at->bytes, gap)};
        // What hardly changes anything is not worth its copies.
        if (swap.evened <= (one.bytes + at->bytes) / 16) continue;
        if (!best || swap.evened > best->evened) best = swap;
      }
    }
    return best;
  }

  /// By how much the gap shrinks when so much goes over.
  static std::int64_t evened_by(std::int64_t bytes, std::int64_t gap) {
    return gap - std::abs(gap - 2 * bytes);
  }

  std::vector<Piece> movable(BrokerId from, BrokerId to) const {
    std::vector<Piece> result;
    const auto found = pieces_.find(from);
    if (found == pieces_.end()) return result;
    for (const Piece& piece : found->second) {
      if (draft_.busy(piece.key)) continue;
      if (exchanged(draft_, piece.assignment->replicas, from, to)) result.push_back(piece);
    }
    return result;
  }

  bool carry_out(const Swap& swap, BrokerId from, BrokerId to) {
    auto reason = fmt::format("broker {} has {} bytes, broker {} has {}", from, weights_.at(from),
                              to, weights_.at(to));
    auto away = exchanged(draft_, swap.large.assignment->replicas, from, to);
    auto back = exchanged(draft_, swap.small.assignment->replicas, to, from);
    CHECK(away.has_value());
    CHECK(back.has_value());
    if (!draft_.start_both({swap.large.key, swap.large.assignment, *std::move(away)},
                           {swap.small.key, swap.small.assignment, *std::move(back)}, reason)) {
      return false;
    }
    const std::int64_t over = swap.large.bytes - swap.small.bytes;
    weights_.at(from) -= over;
    weights_.at(to) += over;
    return true;
  }

  MoveDraft& draft_;
  std::map<BrokerId, std::int64_t> weights_;
  std::map<BrokerId, std::vector<Piece>> pieces_;
  bool complete_ = true;
};

/// Who prefers to lead what, and who else could.
class LeaderScales {
 public:
  explicit LeaderScales(MoveDraft& draft) : draft_(draft) {
    for (const auto& [id, broker] : draft.image().brokers()) leads_[id] = 0;
    draft.each_partition([this](const PartitionKey& key, const PartitionAssignment& assignment) {
      const BrokerId leader = assignment.replicas.front().broker;
      ++leads_[leader];
      if (draft_.healthy(key, assignment) != nullptr) led_[leader].push_back({key, &assignment});
    });
  }

  /// Gives one leadership of the broker that has most, over others or not, to one that has at least
  /// two fewer. False: nobody is left who could, or enough was planned.
  bool shift_once() {
    std::vector<std::pair<std::int64_t, BrokerId>> fullest;
    for (const auto& [id, leads] : leads_) fullest.emplace_back(-leads, id);
    std::sort(fullest.begin(), fullest.end());
    for (const auto& [leads, id] : fullest) {
      const std::vector<Step> way = way_from(id);
      if (!way.empty()) return carry_out(way);
    }
    return false;
  }

 private:
  struct Led {
    PartitionKey key;
    const PartitionAssignment* assignment = nullptr;
  };
  struct Step {
    BrokerId from;
    BrokerId to;
    Led what;
  };

  /// The steps of a leadership to the broker that leads least of those that can be reached, breadth
  /// first so that they are few; last step first. Empty: there is nobody.
  std::vector<Step> way_from(BrokerId source) {
    std::map<BrokerId, Step> came;
    std::vector<BrokerId> reached{source};
    for (std::size_t i = 0; i < reached.size() && reached.size() < leads_.size(); ++i) {
      for (const Led& led : led_[reached[i]]) {
        if (draft_.busy(led.key)) continue;
        for (const Replica& replica : led.assignment->replicas) {
          const BrokerId next = replica.broker;
          if (next == source || came.contains(next) || !draft_.may_receive(next)) continue;
          came[next] = {reached[i], next, led};
          reached.push_back(next);
        }
        if (reached.size() == leads_.size()) break;
      }
    }
    BrokerId end = source;
    for (const BrokerId broker : reached) {
      if (leads_[broker] < leads_[end]) end = broker;
    }
    std::vector<Step> way;
    if (leads_[source] - leads_[end] < 2) return way;
    for (BrokerId to = end; to != source; to = way.back().from) way.push_back(came.at(to));
    return way;
  }

  /// Half a way would make things worse.
  bool carry_out(const std::vector<Step>& way) {
    if (planned_ > 0 && planned_ + way.size() > static_cast<std::size_t>(draft_.limits().moves_max))
      return false;
    const BrokerId source = way.back().from;
    const BrokerId end = way.front().to;
    const auto reason = fmt::format("broker {} is preferred by {} partitions, broker {} by {}",
                                    source, leads_[source], end, leads_[end]);
    for (const Step& step : way) {
      ReplicaSet target = step.what.assignment->replicas;
      const auto heir = std::find_if(target.begin(), target.end(), [&](const Replica& replica) {
        return replica.broker == step.to;
      });
      CHECK(heir != target.end());
      std::iter_swap(target.begin(), heir);
      draft_.reorder({step.what.key, step.what.assignment, std::move(target)}, reason);
    }
    planned_ += way.size();
    --leads_[source];
    ++leads_[end];
    return true;
  }

  MoveDraft& draft_;
  std::map<BrokerId, std::int64_t> leads_;
  std::map<BrokerId, std::vector<Led>> led_;
  std::size_t planned_ = 0;
};

}  // namespace

void even_topics(MoveDraft& draft) {
  even_out(draft, Evenness::kOfTopics);
}

void even_totals(MoveDraft& draft) {
  even_out(draft, Evenness::kOfTotals);
}

void even_bytes(MoveDraft& draft) {
  ByteScales scales(draft);
  for (int swaps = 0; swaps < kSwapsMax && scales.swap_once(); ++swaps) {
  }
}

void even_preferred_leaders(MoveDraft& draft) {
  LeaderScales scales(draft);
  while (scales.shift_once()) {
  }
}

}  // namespace millrace::metadata
