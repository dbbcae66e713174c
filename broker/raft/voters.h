// Who replicates a group, and who of them votes.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <vector>

#include "broker/model/ids.h"
#include "common/uuid.h"

namespace millrace::raft {

using model::Term;

/// A replica is a broker and the directory its data lies in: a broker that comes with another disk
/// is another replica and knows nothing of what the old one promised.
struct ReplicaId {
  model::BrokerId node{-1};
  common::Uuid directory;
  auto operator<=>(const ReplicaId&) const = default;
  bool is_none() const { return node == model::BrokerId{-1}; }
};

/// Orders voter sets, as (configTerm, configVersion) in arXiv 2102.11960.
struct ConfigId {
  Term term;
  std::int64_t version = 0;
  auto operator<=>(const ConfigId&) const = default;
};

inline constexpr std::size_t kVotersMax = 9;
inline constexpr std::size_t kReplicasMax = 16;

/// A voter set with its learners: replicas that get the log and never count. Version 0: a replica
/// that was told nothing yet.
struct VoterSet {
  ConfigId id;
  std::vector<ReplicaId> voters;
  std::vector<ReplicaId> learners;

  bool operator==(const VoterSet&) const = default;
  bool is_voter(const ReplicaId& replica) const;
  bool is_learner(const ReplicaId& replica) const;
  bool is_member(const ReplicaId& replica) const {
    return is_voter(replica) || is_learner(replica);
  }
  std::size_t majority() const { return voters.size() / 2 + 1; }
  /// No replica twice, at least one voter (unless version 0), within the bounds, ids that can be.
  bool is_sound() const;
};

/// How many voters are in one of the sets and not in the other.
std::size_t voters_changed(const VoterSet& left, const VoterSet& right);

}  // namespace millrace::raft
