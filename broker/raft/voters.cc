#include "broker/raft/voters.h"

#include <algorithm>

namespace millrace::raft {

bool VoterSet::is_voter(const ReplicaId& replica) const {
  return std::ranges::find(voters, replica) != voters.end();
}

bool VoterSet::is_learner(const ReplicaId& replica) const {
  return std::ranges::find(learners, replica) != learners.end();
}

bool VoterSet::is_sound() const {
  if (id.term < Term{0} || id.version < 0) return false;
  if (id.version == 0) return voters.empty() && learners.empty();
  if (voters.empty() || voters.size() > kVotersMax) return false;
  if (voters.size() + learners.size() > kReplicasMax) return false;
  std::vector<ReplicaId> all = voters;
  all.insert(all.end(), learners.begin(), learners.end());
  std::ranges::sort(all);
  if (std::ranges::adjacent_find(all) != all.end()) return false;
  return std::ranges::none_of(
      all, [](const ReplicaId& replica) { return replica.node < model::BrokerId{0}; });
}

std::size_t voters_changed(const VoterSet& left, const VoterSet& right) {
  const auto missing = [](const VoterSet& from, const VoterSet& in) {
    return std::ranges::count_if(from.voters,
                                 [&](const ReplicaId& one) { return !in.is_voter(one); });
  };
  return static_cast<std::size_t>(missing(left, right) + missing(right, left));
}

}  // namespace millrace::raft
