// What replicas of a group tell each other. Any of it may be delayed, lost, repeated or reordered.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "broker/raft/contacts.h"
#include "broker/raft/position.h"
#include "broker/raft/voters.h"

namespace millrace::raft {

/// How many of its newest term starts a follower sends when its log does not fit.
inline constexpr std::size_t kStartsPerReply = 32;

enum class Ballot : std::uint8_t {
  kPre,   // would you vote for me? Takes no term and no vote
  kReal,  // vote for me
};

struct VoteRequest {
  Ballot ballot = Ballot::kPre;
  /// The term it wants to lead: in a kPre the one after its own.
  Term candidate_term;
  Position last;
  /// Of a kReal: the leader itself said so (TimeoutNow), and relies on nobody's promise any more.
  bool handed_over = false;
};

struct VoteReply {
  Ballot ballot = Ballot::kPre;
  Term candidate_term;
  bool granted = false;
  /// The voter may have lost a part of its log: only counts if all voters vote (Group, "unclean").
  bool unclean = false;
};

/// "Behind `prev` comes the start of `term` (if that is another than prev's), then data up to
/// `to`." Data of one term only. Without either it asks whether `prev` is there.
struct Append {
  Position prev;
  Term term;
  Offset to;
  /// Of the data, as the caller counted it.
  std::uint32_t bytes = 0;
  /// The leader's commit offset, and whether it was confirmed in the leader's own term.
  Offset commit;
  bool commit_confirmed = false;
  /// The leader's log begins here: its replicas may trim theirs.
  Offset log_start;
  /// The newest term that began with a lossy election (Group, "unclean").
  Term loss_term;
  /// The incarnation of the receiver that the leader goes by.
  std::uint32_t incarnation = 0;
  /// Answer at once, not only when it is durable.
  bool probe = false;
};

/// "Forget your log; begin at `at`." The caller adds the state of the producers at that offset.
struct Install {
  Position at;
  /// The start of at.term, as far as the leader knows it.
  TermStart first;
  Term loss_term;
};

/// Answers Append and Install, and comes by itself when more has become durable.
struct AppendReply {
  /// The end of what is durable here (in memory with relaxed flush) and the same as the leader's
  /// log.
  Position acked;
  /// As acked, but in memory.
  Position received;
  Offset commit;
  /// Append::log_start as last heard in this term: so a start that moved in a quiet group gets
  /// there.
  Offset start_heard;
  std::uint32_t incarnation = 0;
  bool unclean = false;
  /// "For as long as my broker takes yours for alive, from this number on and without a break, I
  /// vote for nobody else." kNone: nothing is promised.
  Trust trust = Trust::kNone;
  /// Set when the log does not contain Append::prev, with what the leader needs to find the fork.
  struct Mismatch {
    Position prev;
    Offset log_start;
    Offset log_end;
    std::vector<TermStart> starts;  // the newest, oldest first
  };
  std::optional<Mismatch> mismatch;
};

/// "Stand for election now": the last act of a leader that hands over.
struct TimeoutNow {};

struct Message {
  ReplicaId from;
  ReplicaId to;
  /// The sender's.
  Term term;
  /// The sender's voter set, as it has it durably.
  ConfigId config_id;
  /// That set itself, where the sender thinks that the receiver needs it.
  std::optional<VoterSet> config;
  std::variant<VoteRequest, VoteReply, Append, Install, AppendReply, TimeoutNow> body;
};

}  // namespace millrace::raft
