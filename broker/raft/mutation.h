// if (mutated(Mutation::kCountOwnUnsynced)) ...
//
// Bugs that a second build of this library, made for its tests alone, can put back in, to show that
// the checks of the property test find them. In the shipping build mutated() is a constant.
#pragma once

#include <cstdint>

namespace millrace::raft {

enum class Mutation : std::uint8_t {
  kNone,
  kSkipHardStateSync,    // messages leave before term, vote and voter set are durable
  kVoteTwice,            // a second candidate gets a vote in the same term
  kVoteForShorterLog,    // whoever asks is up to date
  kVoteForOlderConfig,   // candidates may have an older voter set than the voter
  kCommitOldTerms,       // what followers hold of earlier terms counts (Raft 5.4.2)
  kAckBeforeDurable,     // a follower acknowledges what it has in memory
  kCountOwnUnsynced,     // a leader counts itself at once
  kAckUnverified,        // a follower acknowledges its whole log, fitting or not
  kForgetTermStart,      // a follower acknowledges a term's start before it is durable
  kTruncateOnRepeat,     // a repeated message cuts off what came after it
  kCommitUnverified,     // a follower takes the leader's commit offset for its own log, as it is
  kHighWatermarkFalls,   // a late message moves the commit offset back
  kServeUnconfirmed,     // a new leader calls itself confirmed at once
  kAcceptOldLeader,      // messages of leaders of earlier terms are taken
  kIgnoreDirectory,      // a broker with a new disk passes for the old replica
  kCountLearners,        // learners count towards commits
  kChangeTwoVoters,      // a change takes one voter in and another out at once
  kSkipConfigKnown,      // condition 1 of reconfiguration
  kSkipConfigCommitted,  // condition 2
  kUncleanVotes,         // who lost something votes as if it had not
  kIgnoreIncarnation,    // acknowledgements from before the loss still count
  kReadmitEarly,         // who lost something counts again before it has caught up
  kInsyncIgnored,        // min.insync.replicas does not matter
  kServeWithoutLease,    // a leader calls itself the only one for as long as it leads
  kVoteDespitePromise,   // a voter forgets that a leader counts on it
  kVoteAfterRestart,     // ... and what it may have promised before it was restarted
  kTrustAnyWord,         // a broker's word counts for replicas that promised nothing since
  kLeaseInTransfer,      // a leader has a lease while its heir stands
  kCount,
};

#ifdef MILLRACE_RAFT_MUTATIONS
/// The one that is on in this program; kNone to begin with.
Mutation& active_mutation();
inline bool mutated(Mutation mutation) {
  return active_mutation() == mutation;
}
#else
constexpr bool mutated(Mutation) {
  return false;
}
#endif

}  // namespace millrace::raft
