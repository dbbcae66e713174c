// A group of the consumer protocol (KIP-848), which may have members that speak the classic one.
//
// Three loops, each driven by heartbeats:
//   group epoch    grows when a subscription or what it matches changes, and when a member goes
//   target epoch   follows it: an assignor shares out the partitions anew (at most once in
//                  group.consumer.assignment.interval.ms, so that many joins cost one assignment)
//   member epoch   follows that: reconciliation.h
//
// States, computed from those: Empty (no members), Assigning (target epoch < group epoch),
// Reconciling (a member is not Stable at the target epoch), Stable, Dead (not there).
//
// Members leave by their own word, by session timeout, when they do not give up revoked partitions
// within their rebalance timeout, and, if they are classic, when they do not join or sync in time.
// A static member that leaves for a while (epoch -2) stays until its session ends; whoever comes
// with its instance id takes its place. If a leaving member leaves only classic ones behind, the
// group becomes a classic one (group.consumer.migration.policy).
//
// Everything that matters is in records: what is not (timers) is set anew by settle(). The machine
// makes a group when it applies the first of its records, and throws it away with the tombstone of
// its ConsumerGroupRecord. For a group that is not there yet, and for one that is still classic, it
// lets a ConsumerGroup that it throws away afterwards decide: the records say all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/coordinator/assignor.h"
#include "broker/coordinator/classic_group.h"
#include "broker/coordinator/consumer_protocol.h"
#include "broker/coordinator/holding.h"
#include "broker/coordinator/outbox.h"
#include "broker/coordinator/reconciliation.h"

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
  /// Since when it has no members, as far as this machine knows: an empty group that was loaded
  /// counts from there. -1: it has some.
  common::Timestamp emptied() const { return emptied_; }
  bool subscribes(const std::string& topic) const;
  GroupState state() const;
  GroupDescription describe() const;
  /// All records that replay this group, and those that remove it (its ConsumerGroupRecord last).
  void snapshot(std::vector<Record>& records) const;
  void tombstones(std::vector<Record>& records) const;

 private:
  using About = ConsumerMemberRecord::Value;
  struct Member {
    Holders::Token token = Holders::kNobody;
    About about;
    Standing standing;
    // Not stored:
    common::Instant last_heard{};
    Timer session;
    Timer rebalance;  // consumer protocol: to give up what was revoked
    Timer join;       // classic: to join again
    Timer sync;       // classic: to ask for its assignment
    bool is_classic() const { return about.classic.has_value(); }
  };
  using Members = std::map<std::string, Member>;
  struct Draft;  // consumer_group_draft.h: a change of one member that is being decided

  // Decisions, in the order in which a heartbeat or a join takes them; see Draft.
  common::Result<Draft> draft_dynamic(const std::string& member) const;
  common::Result<Draft> draft_static(const std::string& member, const std::string& instance,
                                     bool may_join, bool classic) const;
  void change(Draft& draft, About about) const;
  void refresh(Draft& draft);
  void resolve_regexes(Draft& draft) const;
  void aim(Draft& draft, Now now);
  std::int64_t delay_left_ms(Now now) const;
  void assign(Draft* draft, Epoch epoch, Now now, std::vector<Record>& records);
  AssignorInput assignor_input(const Draft* draft) const;
  Status step(Draft& draft, const std::optional<PartitionList>& owned) const;
  std::vector<model::TopicId> topics_of(const About& about, const Draft* draft) const;
  const std::vector<std::string>* regex_topics(const std::string& regex, const Draft* draft) const;
  std::int64_t metadata_hash(const std::vector<const About*>& without, const About* with,
                             const Draft* draft) const;
  std::string preferred_assignor(const Draft* draft) const;

  bool is_quiet(const Member& one, const ConsumerHeartbeat& request) const;
  void answer_quiet(Ticket ticket, Members::iterator at, const ConsumerHeartbeat& request, Now now,
                    Outbox& out);
  void advance(Ticket ticket, Draft& draft, const ConsumerHeartbeat& request, Now now, Outbox& out);
  void leave_by_heartbeat(Ticket ticket, const ConsumerHeartbeat& request, Now now, Outbox& out);
  Status check_epoch(const Member& member, const ConsumerHeartbeat& request) const;
  Status check_classic(const std::string& member, const std::optional<std::string>& instance,
                       Epoch generation) const;
  Status check_join(const JoinGroup& request) const;
  Status find_leaving(const LeaveGroup::Member& leaving, std::string& member) const;
  bool may_own(const Draft& draft, const PartitionList& owned) const;
  JoinOutcome joined(const Draft& draft, const JoinGroup& request) const;
  Status must_rejoin(Member& one, const std::string& name, Now now);
  std::vector<NamedPartitions> named(const Holding& holding) const;
  void keep_session(Member& one, Now now);
  void arm(Timer& timer, const std::string& name, TimerKind kind, common::Instant deadline);
  bool can_downgrade(const std::vector<std::string>& leaving) const;
  void downgrade(const std::vector<std::string>& leaving, Now now,
                 std::vector<Record>& records) const;
  void remove(const std::vector<std::string>& members, Now now, std::vector<Record>& records) const;
  void remove_records(const std::string& member, std::vector<Record>& records) const;
  bool reconciled(const Member& one) const;
  CurrentRecord current_record(const std::string& name, const Standing& standing) const;

  void apply_group(const ConsumerGroupRecord& record);
  void apply_member(const ConsumerMemberRecord& record);
  void apply_target(const TargetRecord& record);
  void apply_current(const CurrentRecord& record);
  void apply_regex(const RegexRecord& record);
  Member& member(const std::string& name);
  void count(const About& about, int by);
  void give_up_instance(const std::string& name, const About& about);

  // Set once.
  const std::string name_;
  Shared& shared_;

  // Stored.
  Epoch epoch_{0};
  std::int64_t metadata_hash_ = 0;
  Epoch target_epoch_{0};
  Members members_;
  std::unordered_map<std::string, PartitionList> targets_;  // by member
  std::map<std::string, RegexRecord::Value> regexes_;

  // Follows from what is stored.
  Holders holders_;
  std::map<std::string, std::string> statics_;          // instance to member
  std::map<std::string, std::int32_t> topic_readers_;   // topic to members that name it
  std::map<std::string, std::int32_t> regex_users_;     // regex to members
  std::map<std::string, std::int32_t> assignor_votes_;  // assignor to members
  std::size_t classic_members_ = 0;
  Holders::Token tokens_made_ = Holders::kNobody;

  // Not stored.
  /// The topics may be others than those of metadata_hash_: to be compared at the next heartbeat.
  bool look_again_ = true;
  std::set<std::string> touched_;     // members whose timers settle() has to look at
  std::vector<std::string> to_sync_;  // classic members that join and are not stored yet
  std::optional<common::Instant> assigned_at_;
  common::Timestamp emptied_{-1};
  Timer assign_;
};

/// The records that make a consumer group of a classic one that has members: its tombstone, then
/// the group with its members as classic members. kGroupIdNotFound: it must stay as it is (the
/// policy, the protocol type, a subscription or assignment that cannot be read, the size).
common::Result<std::vector<Record>> upgrade(const ClassicGroup& group, const Shared& shared,
                                            Now now);

}  // namespace millrace::coordinator
