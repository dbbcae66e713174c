// machine.join(ticket, request, now); shell performs machine.take_effects(), in the documented
// order.
//
// The groups and offsets of one partition of __consumer_offsets.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/coordinator/records.h"
#include "broker/coordinator/requests.h"
#include "broker/coordinator/settings.h"
#include "broker/coordinator/topics.h"

namespace millrace::coordinator {

/// What the shell must do after an input, in this order:
///  1. append `records` as one batch to the partition's log (nothing, if there are none);
///  2. if the log took them: appended(effects). If it refused: refused(effects, code), and forget
///     these effects: their answers are given anew. Then look into take_effects() again;
///  3. send `answers` when batch `after` and all before it are committed (0: at once). So nobody is
///     told what a crash may still take back.
/// Later inputs may be given between 2 and 3: the machine then stands on what was appended. If the
/// records are never committed, this replica has lost its leadership and the machine is thrown
/// away. A shell that knows beforehand that the log will take them may call appended() first and
/// append the records of several effects together, in order; where it was wrong, the machine is
/// thrown away.
struct Effects {
  /// Grows from 1; the number of a refused batch does not come again. 0 when there are no records.
  std::uint64_t batch = 0;
  std::vector<Record> records;
  std::vector<std::pair<Ticket, Answer>> answers;
  /// `batch`, or an older one that the answers tell of, though they change nothing themselves.
  std::uint64_t after = 0;
};

/// An answer to a read, to be sent when batch `after` is committed (0: at once), so that nobody
/// sees an offset that a crash could take back.
template <typename T>
struct Read {
  T value;
  std::uint64_t after = 0;
};

/// Deterministic, no I/O, no clock, no random. Every ticket that came in is answered exactly once.
class Machine {
 public:
  explicit Machine(const Settings& settings);
  ~Machine();

  // ---- Inputs of members. Each leaves effects behind, which must be dealt with (see Effects)
  // before the next input. Only commits may be gathered: several commit() in a row make one batch.
  void join(Ticket ticket, const JoinGroup& request, Now now);
  void sync(Ticket ticket, const SyncGroup& request, Now now);
  void heartbeat(Ticket ticket, const Heartbeat& request, Now now);
  void leave(Ticket ticket, const LeaveGroup& request, Now now);
  void consumer_heartbeat(Ticket ticket, const ConsumerHeartbeat& request, Now now);
  void commit(Ticket ticket, OffsetCommit request, Now now);
  void delete_offsets(Ticket ticket, const OffsetDelete& request, Now now);
  /// Answers with a Status. kNonEmptyGroup, kGroupIdNotFound.
  void delete_group(Ticket ticket, const std::string& group, Now now);

  // ---- Inputs of the world.
  /// Settings changed at run time; they hold from the next input on.
  void set_settings(const Settings& settings);
  /// Fires what is due: sessions, rebalances, expiry of offsets.
  void tick(Now now);
  /// When tick() should come next, now if it has more to do; nullopt: not before loaded().
  std::optional<common::Instant> next_tick() const;
  /// Topics came, went or grew: the consumer protocol assigns by them, and what is committed for a
  /// topic that is gone goes too. Required once before the first input of a member. Not null.
  void topics_changed(std::shared_ptr<const Topics> topics, Now now);

  // ---- Effects, and what became of them.
  /// What the inputs since the last call want; nullopt: nothing (more).
  std::optional<Effects> take_effects();
  /// The log took these effects' records: they are applied. May leave more effects behind.
  void appended(const Effects& effects, Now now);
  /// The log took none of these effects' records: what waits for them is told so. `code`: the
  /// log's; members are told what makes them try again. May leave more effects behind.
  void refused(Effects effects, ErrorCode code, Now now);

  // ---- Loading: every record of the log, in order, then loaded(); before any other input.
  void load(const Record& record);
  /// Members get a whole session from here on. Leaves effects behind.
  void loaded(Now now);
  /// Answers everything that waits inside with `code` (kNotCoordinator when leadership is lost):
  /// effects without records. No other input may follow. The answers of effects that were taken
  /// before are the shell's to give.
  void close(ErrorCode code);

  // ---- Reads, without effects, of what was appended.
  Read<OffsetFetchOutcome> fetch_offsets(const OffsetFetch& request) const;
  std::vector<GroupSummary> list() const;
  GroupDescription describe(const std::string& group) const;
  /// The whole stored state as records, for snapshots; loading them gives an equal machine.
  std::vector<Record> snapshot() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace::coordinator
