// A group of the classic protocol: members join, one of them (the leader) assigns, all ask for what
// they got (Kafka's JoinGroup, SyncGroup, Heartbeat, LeaveGroup).
//
// States and transitions:
//   Empty               no members; may have offsets, or members that were only told their ids
//     -> Preparing        a member joins: for the initial delay, which grows as long as more
//     members
//                         come, up to the longest rebalance timeout
//   PreparingRebalance  members join; the rest of the last generation learns it from heartbeats
//     -> Completing       everybody joined, or the rebalance timeout is over: who did not come is
//                         removed (static members stay), the generation grows, joins are answered.
//                         Nobody came and static members are left: the phase begins anew
//     -> Empty            nobody is left; stored
//   CompletingRebalance the leader has to say who gets what; the others' syncs wait
//     -> Stable           the leader's assignment is stored; then all syncs are answered
//     -> Preparing        the log refused the assignment; a member joins with other protocols,
//     leaves
//                         or expires, or does not sync within the rebalance timeout; a static
//                         member comes back
//   Stable              everybody works
//     -> Preparing        a new member; the leader joins again; a member joins with other
//     protocols;
//                         a member leaves, expires, or never asked for its assignment; a static
//                         member comes back with whom the group would elect another protocol
//   Dead                not stored: said of groups that are not there
// A static member that comes back to a Stable group otherwise takes its old place under a new id,
// which is stored, and nobody else notices (KIP-345; as leader it is told not to assign, KIP-814).
//
// What is stored (ClassicGroupRecord) is the generation with its assignment, the change of a static
// member's id, and that the group became empty. Generations that never got an assignment are not,
// so their numbers can come again after a restart: nobody ever owned anything in them.
//
// Bounds: group.max.size members, and as many that were told their id and did not come so far.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/coordinator/classic_members.h"
#include "broker/coordinator/outbox.h"

namespace millrace::coordinator {

class ClassicGroup {
 public:
  /// An Empty group without a protocol type: also what offsets without members belong to.
  ClassicGroup(std::string name, Shared& shared);
  ClassicGroup(const ClassicGroup&) = delete;
  ClassicGroup& operator=(const ClassicGroup&) = delete;
  ~ClassicGroup();

  // ---- Inputs. Each ticket is answered exactly once, some by a later input.
  void join(Ticket ticket, const JoinGroup& request, Now now, Outbox& out);
  void sync(Ticket ticket, const SyncGroup& request, Now now, Outbox& out);
  void heartbeat(Ticket ticket, const Heartbeat& request, Now now, Outbox& out);
  void leave(Ticket ticket, const LeaveGroup& request, Now now, Outbox& out);
  /// Whether these offsets may be committed now; a member's commit keeps its session alive.
  Status check_commit(const OffsetCommit& request, Now now);
  /// A timer of this group fired.
  void expired(const TimerTarget& target, Now now, Outbox& out);

  // ---- What became of it.
  /// What the log says, before settle(): at loading, or when a consumer group became a classic one.
  void load(const ClassicGroupRecord::Value& value);
  /// A record that this group made itself is in the log.
  void apply(const ClassicGroupRecord::Value& value);
  /// The log refused the record that this group made last.
  void refused(ErrorCode code, Now now, Outbox& out);
  /// After load() of the whole log: members get a whole session; too many members rebalance.
  void settle(Now now, Outbox& out);
  /// After load() of what a consumer group left: as settle(), and its members rebalance.
  void converted(Now now, Outbox& out);
  /// Answers everything that waits: the group goes, or became another one.
  void close(ErrorCode code, Outbox& out);

  // ---- Reads.
  const std::string& name() const { return name_; }
  GroupState state() const { return state_; }
  Epoch generation() const { return generation_; }
  /// "consumer" ...; nullopt: never had a member.
  const std::optional<std::string>& protocol_type() const { return protocol_type_; }
  /// What the members of this generation agreed on.
  const std::optional<std::string>& protocol() const { return protocol_; }
  const ClassicMembers& members() const { return members_; }
  /// Since when it is in its state, as far as that is stored; -1: unknown.
  common::Timestamp state_since() const { return state_since_; }
  /// True when nobody is in it and nobody is on the way into it.
  bool idle() const { return state_ == GroupState::kEmpty && pending_.empty(); }
  bool uses_consumer_protocol() const;
  /// The topics that the members read, if they are known: only of the protocol type "consumer" and
  /// if every subscription can be read.
  const std::optional<std::set<std::string>>& subscribed() const { return subscribed_; }
  /// Kafka's caution: consumers whose subscriptions cannot be read may read any topic.
  bool subscribes(const std::string& topic) const;
  GroupDescription describe() const;
  /// The record that replays this group; nothing is lost but what is not stored anyway.
  ClassicGroupRecord stored() const;

 private:
  struct Replaced;  // a static member's old self, while its new id is on the way to the log

  bool accepts(const std::string& member) const;
  Status check_member(const std::string& member, const std::optional<std::string>& instance) const;
  void join_new(Ticket ticket, const JoinGroup& request, Now now, Outbox& out);
  void join_known(Ticket ticket, const JoinGroup& request, Now now, Outbox& out);
  void join_stable(Ticket ticket, ClassicMember& member, const JoinGroup& request, Now now,
                   Outbox& out);
  void add_member(Ticket ticket, const std::string& id, const JoinGroup& request, Now now,
                  Outbox& out);
  void update_member(Ticket ticket, ClassicMember& member, const JoinGroup& request, Now now,
                     Outbox& out);
  void replace_static(Ticket ticket, const JoinGroup& request, Now now, Outbox& out);
  void answer_current(Ticket ticket, const ClassicMember& member, Outbox& out) const;
  void answer_replaced(Ticket ticket, const ClassicMember& member, const JoinGroup& request,
                       const std::string& old_leader, Outbox& out) const;
  JoinOutcome current(const ClassicMember& member) const;
  std::vector<JoinOutcome::Member> member_list() const;

  void remove_member(const std::string& id, Outbox& out);
  Status leave_one(const LeaveGroup::Member& leaving, bool& changed, Outbox& out);
  void after_removal(Now now, Outbox& out);
  void rebalance(Now now, Outbox& out);
  void rebalance_or_complete(Now now, Outbox& out);
  void complete_if_all_joined(Now now, Outbox& out);
  void join_timer_fired(Now now, Outbox& out);
  void complete_join(Now now, Outbox& out);
  void begin_generation(Now now, Outbox& out);
  bool elect_leader_among_joined();
  void sync_timer_fired(Now now, Outbox& out);
  void store_assignments(const SyncGroup& request, Now now, Outbox& out);
  void fail_syncs(ErrorCode code, Outbox& out);
  void member_timer_fired(const std::string& id, Now now, Outbox& out);
  void keep_session(ClassicMember& member, Now now);
  void synced(ClassicMember& member);
  void read_subscriptions();
  void move_to(GroupState state);
  common::Timestamp now_or_since(Now now) const;

  // Set once.
  const std::string name_;
  Shared& shared_;

  // Stored.
  Epoch generation_{0};
  std::optional<std::string> protocol_type_;
  std::optional<std::string> protocol_;
  common::Timestamp state_since_{-1};
  ClassicMembers members_;

  // Not stored.
  GroupState state_ = GroupState::kEmpty;
  std::optional<std::set<std::string>> subscribed_;
  std::unordered_map<std::string, Timer> pending_;  // told their id, expected to join with it
  bool first_generation_ = false;                   // Preparing came from Empty: the initial delay
  bool joined_lately_ = false;                      // ... and somebody came during the last part
  common::Duration delay_{};                        // the part of it that passes now
  common::Duration delay_left_{};                   // and what may still be added
  Timer join_timer_;
  Timer sync_timer_;
  std::unique_ptr<Replaced> replaced_;
};

}  // namespace millrace::coordinator
