#include "broker/metadata/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "common/check.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;
using model::Error;
using model::ErrorCode;

/// A broker as placement sees it.
struct Candidate {
  const Broker* broker = nullptr;
  std::int64_t load = 0;     // replicas, those placed in this run included
  std::int64_t placed = 0;   // replicas, in this run
  std::int64_t leading = 0;  // of this topic, in this run
  std::int64_t leading_before = 0;
  bool may_stop = false;  // it holds a restart permit
};

/// The best of those not taken yet: no second one that may stop, then by racks not used yet, then
/// as plan_moves() would even out, so that it finds nothing to do. Leaders go by how much each
/// leads before anything else.
Candidate& choose(std::vector<Candidate>& candidates, const Replicas& taken,
                  const std::set<std::string_view>& racks, bool one_may_stop) {
  const auto rank = [&](const Candidate& candidate) {
    const bool rack_used =
        !candidate.broker->rack.empty() && racks.contains(candidate.broker->rack);
    return std::tuple(one_may_stop && candidate.may_stop, rack_used,
                      taken.empty() ? candidate.leading : 0, candidate.placed, candidate.load,
                      taken.empty() ? candidate.leading + candidate.leading_before : 0,
                      candidate.broker->id);
  };
  Candidate* best = nullptr;
  for (Candidate& candidate : candidates) {
    if (std::find(taken.begin(), taken.end(), candidate.broker->id) != taken.end()) continue;
    if (best == nullptr || rank(candidate) < rank(*best)) best = &candidate;
  }
  CHECK(best != nullptr, "fewer brokers than replicas");
  return *best;
}

Error unplaceable(std::int16_t replication_factor, std::string_view why) {
  return Error{
      ErrorCode::kInvalidReplicationFactor,
      fmt::format("Unable to replicate the partition {} time(s): {}", replication_factor, why)};
}

}  // namespace

Result<std::vector<Replicas>> place_partitions(const Image& image, std::int64_t count,
                                               std::int16_t replication_factor) {
  CHECK(count > 0);
  CHECK(replication_factor > 0);
  std::vector<Candidate> candidates;
  for (const auto& [id, broker] : image.brokers()) {
    if (image.state(id) != BrokerState::kActive) continue;  // would have to leave again at once
    candidates.push_back({.broker = &broker,
                          .load = image.replicas_on(id),
                          .leading = 0,
                          .leading_before = image.leads_on(id),
                          .may_stop = image.permits().contains(id)});
  }
  if (candidates.empty()) return unplaceable(replication_factor, "No broker is registered.");
  if (std::cmp_greater(replication_factor, candidates.size())) {
    return unplaceable(
        replication_factor,
        fmt::format("The target replication factor of {} cannot be reached because only "
                    "{} broker(s) are registered.",
                    replication_factor, candidates.size()));
  }
  std::vector<Replicas> placed;
  placed.reserve(static_cast<std::size_t>(count));
  for (std::int64_t partition = 0; partition < count; ++partition) {
    Replicas& replicas = placed.emplace_back();
    std::set<std::string_view> racks;
    bool one_may_stop = false;
    while (std::cmp_less(replicas.size(), replication_factor)) {
      Candidate& chosen = choose(candidates, replicas, racks, one_may_stop);
      if (replicas.empty()) ++chosen.leading;
      ++chosen.load;
      ++chosen.placed;
      racks.insert(chosen.broker->rack);
      one_may_stop = one_may_stop || chosen.may_stop;
      replicas.push_back(chosen.broker->id);
    }
  }
  return placed;
}

Result<void> check_budget(const Image& image, const std::vector<Replicas>& added,
                          std::int32_t per_shard_max, std::string_view topic) {
  std::map<BrokerId, std::int64_t> more;
  for (const Replicas& replicas : added) {
    for (const BrokerId broker : replicas) ++more[broker];
  }
  for (const auto& [id, count] : more) {
    const auto broker = image.brokers().find(id);
    CHECK(broker != image.brokers().end(), "replicas on broker {}, which is not registered", id);
    const std::int64_t present = image.replicas_on(id);
    const std::int64_t budget = std::int64_t{broker->second.shards} * per_shard_max;
    if (present + count <= budget) continue;
    return Error{
        ErrorCode::kPolicyViolation,
        fmt::format("Topic '{}' needs {} more partition replica(s) on broker {}, which has {} and "
                    "may have {}: {} "
                    "shard(s) of at most {} each (partitions.per.shard.max).",
                    topic, count, id, present, budget, broker->second.shards, per_shard_max)};
  }
  return common::ok();
}

Result<void> check_replicas(const Image& image, const Replicas& replicas, std::size_t expected) {
  const auto bad = [](std::string text) {
    return Error{ErrorCode::kInvalidReplicaAssignment, std::move(text)};
  };
  if (replicas.empty())
    return bad("The manual partition assignment includes an empty replica list.");
  std::set<BrokerId> seen;
  for (const BrokerId broker : replicas) {
    if (!image.brokers().contains(broker)) {
      return bad(fmt::format(
          "The manual partition assignment includes broker {}, but no such broker is registered.",
          broker));
    }
    if (!seen.insert(broker).second) {
      return bad(fmt::format(
          "The manual partition assignment includes the broker {} more than once.", broker));
    }
  }
  if (replicas.size() != expected) {
    return bad(fmt::format(
        "The manual partition assignment includes a partition with {} replica(s), but this is not "
        "consistent with previous partitions, which have {} replica(s).",
        replicas.size(), expected));
  }
  return common::ok();
}

}  // namespace millrace::metadata
