#include "broker/service/elections.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "broker/service/leaders.h"

namespace millrace::service {
namespace {

using model::ErrorCode;

/// Kafka's words for a partition that is not there.
std::string missing(const Shard& here, const PartitionRef& ref) {
  if (here.image().topic(ref.topic_name) == nullptr)
    return fmt::format("No such topic as {}", ref.topic_name);
  return fmt::format("No such partition as {}-{}", ref.topic_name, ref.partition);
}

ElectionOutcome outcome_of(Election election, bool led_here) {
  // A partition has one replica. Where it leads, it is the preferred one and the only one that
  // lives; where it does not, nobody else can.
  if (led_here) return {ErrorCode::kElectionNotNeeded, ""};
  return {election == Election::kPreferred ? ErrorCode::kPreferredLeaderNotAvailable
                                           : ErrorCode::kEligibleLeadersNotAvailable,
          ""};
}

}  // namespace

void elect_leaders(Shard& here, std::vector<PartitionRef> partitions, Election election,
                   common::Reply<std::vector<ElectionOutcome>> done) {
  auto outcomes = std::make_unique<std::vector<ElectionOutcome>>(partitions.size());
  std::vector<std::size_t> places;  // of the keys in the outcomes
  std::vector<model::PartitionKey> keys;
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    const auto key = resolve(here, partitions[i]);
    if (key.ok()) {
      places.push_back(i);
      keys.push_back(*key);
    } else {
      (*outcomes)[i] = {key.error().code, missing(here, partitions[i])};
    }
  }
  leader_epochs(here, std::move(keys),
                [outcomes = std::move(outcomes), places = std::move(places), election,
                 done = std::move(done)](std::vector<std::optional<model::Term>> epochs) mutable {
                  for (std::size_t i = 0; i < places.size(); ++i)
                    (*outcomes)[places[i]] = outcome_of(election, epochs[i].has_value());
                  done(std::move(*outcomes));
                });
}

}  // namespace millrace::service
