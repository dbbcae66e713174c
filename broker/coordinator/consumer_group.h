// A group of the consumer protocol (KIP-848), which may have members that speak the classic one.
//
// Everything that matters is in records: what is not (timers) is set anew by settle(). The machine
// makes a group when it applies the first of its records, and throws it away with the tombstone of
// its ConsumerGroupRecord. For a group that is not there yet, and for one that is still classic, it
// lets a ConsumerGroup that it throws away afterwards decide: the records say all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/coordinator/classic_group.h"
#include "broker/coordinator/outbox.h"

namespace millrace::coordinator {

class ConsumerGroup {
 public:
  ConsumerGroup(std::string name, Shared& shared);
  ConsumerGroup(const ConsumerGroup&) = delete;
  ConsumerGroup& operator=(const ConsumerGroup&) = delete;
  ~ConsumerGroup();

  // ---- Inputs. Each answers its ticket in `out`, at once: nothing waits inside of the group.
  void consumer_heartbeat(Ticket ticket, const ConsumerHeartbeat& request, Now now, Outbox& out);
  /// Members of the classic protocol. A leave may also name static members of either.
  void join(Ticket ticket, const JoinGroup& request, Now now, Outbox& out);
  void sync(Ticket ticket, const SyncGroup& request, Now now, Outbox& out);
  void heartbeat(Ticket ticket, const Heartbeat& request, Now now, Outbox& out);
  void leave(Ticket ticket, const LeaveGroup& request, Now now, Outbox& out);
  /// Whether this member may commit these partitions now; keeps a classic member's session.
  Status check_commit(const OffsetCommit& request, Now now);
  /// A timer of this group fired.
  void expired(const TimerTarget& target, Now now, Outbox& out);
  /// Shared::topics is another one.
  void topics_changed(Now now, Outbox& out);

  // ---- What became of it.
  /// One of the Consumer* and Target*, Current* and Regex* records of this group; the only place
  /// where what they say changes. May come in any order and for members that are not there.
  void apply(const Record& record);
  /// The records of an input are all applied, or the whole log is (loading): sets the timers of
  /// members that are new here.
  void settle(Now now, Outbox& out);

  // ---- Reads.
  Status check_fetch(const OffsetFetch& request) const;
  bool empty() const;
  bool subscribes(const std::string& topic) const;
  GroupState state() const;
  GroupDescription describe() const;
  /// All records that replay this group, and those that remove it (its ConsumerGroupRecord last).
  void snapshot(std::vector<Record>& records) const;
  void tombstones(std::vector<Record>& records) const;
};

/// The records that make a consumer group of a classic one that has members: its tombstone, then
/// the group with its members as classic members. kGroupIdNotFound: it must stay as it is (the
/// policy, the protocol type, a subscription or assignment that cannot be read, the size).
common::Result<std::vector<Record>> upgrade(const ClassicGroup& group, const Shared& shared,
                                            Now now);

}  // namespace millrace::coordinator
