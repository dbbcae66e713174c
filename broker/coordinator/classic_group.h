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
// Apart from the states: a member that is not heard from for its session timeout expires, unless it
// waits for an answer; one that does not know its id yet cannot be heard from and has five minutes.
//
// What is stored (ClassicGroupRecord) is the generation with its assignment, the change of a static
// member's id, and that the group became empty. Generations that never got an assignment are not,
// so their numbers can come again after a restart: nobody ever owned anything in them.
//
// Bounds: group.max.size members. Who was only told an id is forgotten after a session timeout.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/coordinator/classic_members.h"
#include "broker/coordinator/consumer_protocol.h"
#include "broker/coordinator/offsets.h"
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
  /// After the last load(): the group stands as it was stored, its members get a whole session, and
  /// if they are too many they rebalance.
  void settle(Now now, Outbox& out);
  /// As settle(), for what a consumer group left: the members rebalance, to learn of it.
  void converted(Now now, Outbox& out);
  /// The record that this group made last is in the log.
  void apply(const ClassicGroupRecord::Value& value);
  /// The log refused it. The answers that came with it are the machine's to take back.
  void refused(Now now, Outbox& out);
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
  /// When it became Empty; -1: unknown.
  common::Timestamp emptied() const { return emptied_; }
  /// True when nobody is in it and nobody is on the way into it.
  bool idle() const { return state_ == GroupState::kEmpty && pending_.empty(); }
  bool uses_consumer_protocol() const { return protocol_type_ == kConsumerProtocolType; }
  /// The topics that the members read, if they are known: only of the protocol type "consumer" and
  /// if every subscription can be read.
  const std::optional<std::set<std::string>>& subscribed() const { return subscribed_; }
  /// Kafka's caution: consumers whose subscriptions cannot be read may read any topic.
  bool subscribes(const std::string& topic) const;
  OffsetAge offset_age() const;
  GroupSummary summary() const;
  GroupDescription describe() const;
  /// What the log says of it; nullopt: nothing.
  const std::optional<ClassicGroupRecord::Value>& stored() const { return stored_; }
  /// Whether a record of it is on the way there: apply() or refused() will follow.
  bool is_storing() const { return storing_; }

 private:
  /// A static member's old self, while its new id is on the way to the log.
  struct Replaced {
    std::string instance;
    std::string id;
    ClientInfo client;
    std::vector<Protocol> protocols;
    std::int32_t rebalance_timeout_ms = 0;
    std::int32_t session_timeout_ms = 0;
  };

  // classic_group.cc
  void adopt(const ClassicGroupRecord::Value& value, Now now);
  Status check_member(const std::string& member, const std::optional<std::string>& instance) const;
  Status leave_one(const LeaveGroup::Member& leaving, Outbox& out);
  ClassicGroupRecord::Value to_store(Now now) const;
  void store(ClassicGroupRecord::Value value, Outbox& out);
  void keep_session(ClassicMember& member, Now now);
  void read_subscriptions();
  Timer member_timer(const std::string& member, TimerKind kind) const;

  // classic_join.cc
  bool accepts(const std::string& member) const;
  bool supports(const JoinGroup& request) const;
  void turn_away(Ticket ticket, const JoinGroup& request, Now now, Outbox& out);
  void join_new(Ticket ticket, const JoinGroup& request, Now now, Outbox& out);
  void join_known(Ticket ticket, const JoinGroup& request, Now now, Outbox& out);
  void add_member(Ticket ticket, const std::string& id, const JoinGroup& request, Now now,
                  Outbox& out);
  void update_member(ClassicMember& member, const JoinGroup& request);
  void wait_for_others(Ticket ticket, ClassicMember& member, Outbox& out);
  void replace_static(Ticket ticket, ClassicMember& holder, const JoinGroup& request, Now now,
                      Outbox& out);
  void take_place(Ticket ticket, const ClassicMember& member, const JoinGroup& request,
                  const std::string& old_leader, Now now, Outbox& out);
  JoinOutcome current(const ClassicMember& member) const;
  std::vector<JoinOutcome::Member> member_list() const;

  // classic_rebalance.cc
  void remove_member(const std::string& id, Outbox& out);
  void after_removal(Now now, Outbox& out);
  void rebalance(Now now, Outbox& out);
  void rebalance_or_complete(Now now, Outbox& out);
  bool all_joined() const { return members_.joining() == members_.size() && pending_.empty(); }
  void complete_if_all_joined(Now now, Outbox& out);
  void join_timer_fired(Now now, Outbox& out);
  void complete_join(Now now, Outbox& out);
  bool elect_leader_among_joined();
  void begin_generation(Now now, Outbox& out);
  void store_assignments(const SyncGroup& request, Now now, Outbox& out);
  void fail_syncs(ErrorCode code, Now now, Outbox& out);
  void sync_timer_fired(Now now, Outbox& out);
  void session_fired(const std::string& id, Now now, Outbox& out);
  void synced(ClassicMember& member);
  SyncOutcome assigned(const common::Bytes& assignment) const;

  // Set once.
  const std::string name_;
  Shared& shared_;

  // What the group is: as stored, or a generation further.
  GroupState state_ = GroupState::kEmpty;
  Epoch generation_{0};
  std::optional<std::string> protocol_type_;
  std::optional<std::string> protocol_;
  common::Timestamp emptied_{-1};
  ClassicMembers members_;
  std::optional<std::set<std::string>> subscribed_;
  std::unordered_map<std::string, Timer> pending_;  // told their id, expected to join with it

  // The joining phase.
  bool is_first_ = false;          // Preparing came from Empty: the initial delay
  bool joined_lately_ = false;     // ... and somebody came during its last part
  common::Duration delay_{};       // the part that passes now
  common::Duration delay_more_{};  // what may still be added
  Timer join_timer_;
  Timer sync_timer_;

  // The log.
  std::optional<ClassicGroupRecord::Value> stored_;
  bool storing_ = false;
  std::optional<Replaced> replaced_;
};

}  // namespace millrace::coordinator
