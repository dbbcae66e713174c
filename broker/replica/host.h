// What the replicas of a shard have in common, and how one of them begins.
#pragma once

#include <string_view>

#include "broker/raft/settings.h"
#include "broker/raft/voters.h"
#include "broker/replica/catch_up.h"
#include "broker/replica/peers.h"
#include "broker/replica/ticker.h"
#include "common/clock.h"
#include "common/function.h"
#include "common/random.h"

namespace millrace::replica {

/// Outlives the replicas of its shard.
struct Host {
  /// This broker with the directory that its logs lie in.
  raft::ReplicaId self;
  const common::Clock& clock;
  Ticker& ticker;
  Peers& peers;
  common::Random& random;
  const raft::Settings& raft;
  /// How fast voters are brought level that are far behind, and how fast learners get what they do
  /// not have: that is no hurry. nullptr: without a limit.
  CatchUp* catch_up = nullptr;
  CatchUp* moves = nullptr;
  /// Takes one line, "event=... key=value ...", that somebody may want to know. May be empty.
  common::Function<void(std::string_view)> note = {};
};

struct Beginning {
  /// Where the log has no state of a replica yet: the voter set that all first replicas of a new
  /// group are told. Version 0: this one is added to a group, whose leader will tell it.
  raft::VoterSet first_voters;
  /// The store was closed by the process that wrote it last.
  bool after_clean_stop = true;
};

/// The first voter set of a group of one.
inline raft::VoterSet sole_voter(const raft::ReplicaId& replica) {
  return {.id = {.term = raft::Term{0}, .version = 1}, .voters = {replica}, .learners = {}};
}

}  // namespace millrace::replica
