#include "broker/service/elections.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "broker/service/hand_over.h"
#include "broker/service/leaders.h"

namespace millrace::service {
namespace {

using model::ErrorCode;

/// At once: what more there are wait.
constexpr std::size_t kTransfersMax = 256;

/// Kafka's words for a partition that is not there.
std::string missing(const Shard& here, const PartitionRef& ref) {
  if (here.image().topic(ref.topic_name) == nullptr)
    return fmt::format("No such topic as {}", ref.topic_name);
  return fmt::format("No such partition as {}-{}", ref.topic_name, ref.partition);
}

ElectionOutcome outcome_of(common::Result<void> transferred) {
  if (transferred.ok()) return {};
  common::Error error = std::move(transferred).error();
  switch (error.code) {
    case ErrorCode::kReplicaNotAvailable:
    case ErrorCode::kLeaderNotAvailable:
      return {ErrorCode::kPreferredLeaderNotAvailable, std::move(error.detail)};
    default:
      return {error.code, std::move(error.detail)};
  }
}

/// One request while it is worked on. Lives on the asking shard's loop.
class Operation : public std::enable_shared_from_this<Operation> {
 public:
  Operation(Shard& here, std::vector<PartitionRef> partitions, Election election,
            common::Duration limit, common::Reply<std::vector<ElectionOutcome>> done)
      : here_(here),
        partitions_(std::move(partitions)),
        election_(election),
        limit_(limit),
        done_(std::move(done)) {}

  void start() {
    outcomes_.resize(partitions_.size());
    for (std::size_t i = 0; i < partitions_.size(); ++i) {
      const auto key = resolve(here_, partitions_[i]);
      if (key.ok()) {
        places_.push_back(i);
        keys_.push_back(*key);
      } else {
        outcomes_[i] = {key.error().code, missing(here_, partitions_[i])};
      }
    }
    known_leaders(here_, keys_, [self = shared_from_this()](std::vector<KnownLeader> leaders) {
      self->judge(leaders);
    });
  }

 private:
  void judge(const std::vector<KnownLeader>& leaders) {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const bool led = here_.alive(leaders[i].leader);
      ElectionOutcome& outcome = outcomes_[places_[i]];
      if (election_ == Election::kUnclean) {
        outcome.code =
            led ? ErrorCode::kElectionNotNeeded : ErrorCode::kEligibleLeadersNotAvailable;
        continue;
      }
      const model::BrokerId preferred = preferred_of(keys_[i]);
      if (led && leaders[i].leader == preferred) {
        outcome.code = ErrorCode::kElectionNotNeeded;
      } else if (!led || !here_.alive(preferred)) {
        outcome.code = ErrorCode::kPreferredLeaderNotAvailable;
      } else {
        wanted_.push_back({i, preferred});
      }
    }
    for (std::size_t i = 0; i < kTransfersMax; ++i) next();
    arrived();
  }

  model::BrokerId preferred_of(const model::PartitionKey& key) const {
    const metadata::PartitionAssignment* const assignment = here_.image().assignment(key);
    if (assignment == nullptr) return model::BrokerId{-1};  // deleted meanwhile
    return assignment->replicas.front().broker;
  }

  void next() {
    if (begun_ == wanted_.size()) return;
    const Wanted wanted = wanted_[begun_++];
    ++missing_;
    transfer_leader(here_, keys_[wanted.key], wanted.to, limit_,
                    [self = shared_from_this(), wanted](common::Result<void> done) {
                      self->outcomes_[self->places_[wanted.key]] = outcome_of(std::move(done));
                      // Through the loop: very many may be answered at once.
                      self->here_.loop().post([self] {
                        self->next();
                        self->arrived();
                      });
                    });
  }
  void arrived() {
    if (--missing_ == 0) done_(std::move(outcomes_));
  }

  struct Wanted {
    std::size_t key = 0;
    model::BrokerId to{-1};
  };
  Shard& here_;
  const std::vector<PartitionRef> partitions_;
  const Election election_;
  const common::Duration limit_;
  common::Reply<std::vector<ElectionOutcome>> done_;
  std::vector<ElectionOutcome> outcomes_;
  std::vector<std::size_t> places_;  // of the keys in the outcomes
  std::vector<model::PartitionKey> keys_;
  std::vector<Wanted> wanted_;
  std::size_t begun_ = 0;
  std::size_t missing_ = 1;  // held until all are begun
};

}  // namespace

void elect_leaders(Shard& here, std::vector<PartitionRef> partitions, Election election,
                   common::Duration limit, common::Reply<std::vector<ElectionOutcome>> done) {
  std::make_shared<Operation>(here, std::move(partitions), election, limit, std::move(done))
      ->start();
}

}  // namespace millrace::service
