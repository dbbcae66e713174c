// if (mutated(Mutation::kAnswerUnsynced)) ...
//
// Bugs that a second build of the broker, made for the simulator's tests alone, can put back in, to
// show that the simulator's checks find them (tests/sim/mutation_test.cc). Those of Raft itself are
// in broker/raft/mutation.h. In the shipping build mutated() is a constant.
#pragma once

#include <cstdint>

namespace millrace::model {

enum class Mutation : std::uint8_t {
  kNone,
  // Storage
  kAnswerUnsynced,  // writes are called durable before they are
  kTakeTornRounds,  // what a loss of power tore is taken for whole
  // A replica
  kAckFromLeader,            // acks=all is answered when the leader alone has it
  kAckLostLeadership,        // what waits is acknowledged when the leadership ends
  kAckRepeatEarly,           // a repeated batch is acknowledged before the first one is
  kKeepProducersOnCut,       // what was cut off still counts as the producer's last batch
  kInstallWithoutProducers,  // a follower that begins anew does not get the producers
  kReadUncommitted,          // readers see what is not committed
  // Between brokers
  kOlderLeaderWins,  // who leads is what was said last, in whatever term
  // Metadata
  kTakeStaleProposals,  // decisions on an old state are taken
  kApplyTwice,          // records are applied two times
  kSkipOneShard,        // the second shard's image is not kept up to date
  kReuseProducerIds,    // ids are given away before that is committed
  // Groups
  kForgetOffsets,        // a new coordinator does not read committed offsets
  kAnswerGroupsEarly,    // answers leave before the records that they tell of are committed
  kAcceptAnyMember,      // member ids, generations and epochs of commits are not checked
  kAssignBeforeRevoked,  // a partition is given away before its owner gave it up
  kCount,
};

#ifdef MILLRACE_MUTATIONS
inline namespace mutant {
/// The one that is on in this program; kNone to begin with.
Mutation& active_mutation();
inline bool mutated(Mutation mutation) {
  return active_mutation() == mutation;
}
}  // namespace mutant
#else
constexpr bool mutated(Mutation) {
  return false;
}
#endif

}  // namespace millrace::model
