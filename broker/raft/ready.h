// What a group wants done: filled by every method of Group, carried out by its caller.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/raft/messages.h"

namespace millrace::raft {

enum class Role : std::uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

/// What must survive a crash besides the log. Small; replaced as a whole.
struct HardState {
  Term term;
  ReplicaId vote;  // in this term; none: nobody yet
  VoterSet config;
  /// See Group, "unclean".
  Term loss_term;
  std::uint32_t incarnation = 0;
  bool unclean = false;
  bool operator==(const HardState&) const = default;
};

/// One change of the log. Changes become durable in the order given.
struct LogWrite {
  enum class Kind : std::uint8_t {
    kTruncate,   // take away what lies at and behind `to`, and term starts at or behind `to`
    kTermStart,  // write down the start of `start.term` at the log's end
    kAppend,     // append [from, to) of the data that came with the message just stepped
    kReset,      // empty the log, which then begins and ends at `to`; {`start`} are its term
                 // starts, none if that is {0, 0}
  };
  Kind kind;
  Offset from;
  Offset to;
  TermStart start;
  /// What Group::durable() is to be told once this is durable.
  LogMark mark;
};

/// "Read batches for this replica." Answered by Group::fetched() with the same id, now or later,
/// with all of it or less. With `install`: make a snapshot of the producers, then
/// Group::install_ready().
struct Fetch {
  ReplicaId to;
  std::uint32_t id = 0;
  bool install = false;
  Offset from;
  /// Exclusive; all of it was written in one term.
  Offset up_to;
  /// The first batch may be larger.
  std::uint32_t bytes_max = 0;
};

struct RoleChange {
  Role role;
  Term term;
  ReplicaId leader;  // none: unknown
  /// A leader that has committed in its own term: its commit offset is at least what any leader
  /// before it showed to anybody, so reads may be served.
  bool confirmed = false;
  bool operator==(const RoleChange&) const = default;
};

/// Rare things that people want to know of.
enum class Notice : std::uint8_t {
  kUncleanElection,  // won by the furthest log of all, as a majority may have lost something
  kReadmitted,       // this replica had lost something, and has all again
  kLostCommitted,    // what was committed here was lost in an unclean election, and is cut off
  kConfigChanged,
};

/// In this order: hard_state and writes to stable storage (together or in this order), the rest at
/// once. Effects that depend on the hard state are not in here before Group::persisted().
struct Ready {
  std::optional<HardState> hard_state;
  /// For Group::persisted(); of the newest hard state.
  std::uint32_t ticket = 0;
  std::vector<LogWrite> writes;
  std::vector<Message> messages;
  std::vector<Fetch> fetches;
  /// New ends of what readers may see and of what producers may be told (acks=all). Never fall.
  std::optional<Offset> commit;
  std::optional<Offset> acknowledged;
  std::optional<RoleChange> role;
  /// For a leader: a majority of the voters has heard that the log begins here. Never falls while
  /// it leads.
  std::optional<Offset> start_known;
  /// The leader's log begins here; the caller may trim its own as far, then says so to
  /// Group::trimmed().
  std::optional<Offset> trim_to;
  std::vector<Notice> notices;

  void clear() {
    hard_state.reset();
    writes.clear();
    messages.clear();
    fetches.clear();
    commit.reset();
    acknowledged.reset();
    role.reset();
    start_known.reset();
    trim_to.reset();
    notices.clear();
  }
};

}  // namespace millrace::raft
