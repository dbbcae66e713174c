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
///  2. if the log took them: apply() each, in order. If it refused: refused(batch, code), and
///     perform what that leaves in take_effects() instead;
///  3. when they and all that was appended before are committed (at once, if there is nothing to
///     wait for): send `answers`. So nobody is told what a crash may still take back.
/// Later inputs may be given between 2 and 3: the machine then stands on what was appended. If the
/// records are never committed, this replica has lost its leadership and the machine is thrown
/// away. A shell that knows beforehand that the log will take them may apply() first and append the
/// records of several effects together, in order; where it was wrong, the machine is thrown away.
struct Effects {
  std::uint64_t batch = 0;
  std::vector<Record> records;
  std::vector<std::pair<Ticket, Answer>> answers;
};

/// Deterministic, no I/O, no clock, no random. Every ticket that came in is answered exactly once.
class Machine {
 public:
  explicit Machine(const Settings& settings);
  ~Machine();

  // ---- Inputs of members. Each leaves effects behind.
  void join(Ticket ticket, const JoinGroup& request, Now now);
  void sync(Ticket ticket, const SyncGroup& request, Now now);
  void heartbeat(Ticket ticket, const Heartbeat& request, Now now);
  void leave(Ticket ticket, const LeaveGroup& request, Now now);
  void consumer_heartbeat(Ticket ticket, const ConsumerHeartbeat& request, Now now);
  void commit(Ticket ticket, const OffsetCommit& request, Now now);
  void delete_offsets(Ticket ticket, const OffsetDelete& request, Now now);
  /// Answers with a Status. kNonEmptyGroup, kGroupIdNotFound.
  void delete_group(Ticket ticket, const std::string& group, Now now);

  // ---- Inputs of the world.
  /// Settings changed at run time; they hold from the next input on.
  void set_settings(const Settings& settings);
  /// Fires what is due: sessions, rebalances, expiry of offsets.
  void tick(Now now);
  /// When tick() should come next; nullopt: not until another input.
  std::optional<common::Instant> next_tick() const;
  /// Topics came, went or grew (the consumer protocol assigns by them; offsets of a deleted topic
  /// go).
  void topics_changed(std::shared_ptr<const Topics> topics, Now now);

  // ---- Effects, and what became of them.
  std::optional<Effects> take_effects();
  void apply(const Record& record);
  void refused(std::uint64_t batch, ErrorCode code);

  // ---- Loading. apply() of every record of the log, then loaded().
  /// Members get a whole session from here on.
  void loaded(Now now);
  /// Answers everything that waits with `code` (kNotCoordinator when leadership is lost).
  void close(ErrorCode code);

  // ---- Reads of committed and of appended state, without effects.
  OffsetFetchOutcome fetch_offsets(const OffsetFetch& request) const;
  std::vector<GroupSummary> list() const;
  GroupDescription describe(const std::string& group) const;
  /// The whole state as records, for snapshots; replaying them gives an equal machine.
  std::vector<Record> snapshot() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace::coordinator
