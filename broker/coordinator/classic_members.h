// The members of a classic group: who they are, what they can, whom the group waits for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/coordinator/outbox.h"

namespace millrace::coordinator {

struct ClassicMember {
  std::string id;
  std::optional<std::string> instance;
  ClientInfo client;
  std::int32_t rebalance_timeout_ms = 0;
  std::int32_t session_timeout_ms = 0;
  /// Its favourite first. After a restart only the one that the group uses is known.
  std::vector<Protocol> protocols;
  common::Bytes assignment;

  // Not stored:
  std::optional<Ticket> join;  // its JoinGroup that waits for the others
  std::optional<Ticket> sync;  // its SyncGroup that waits for the leader's
  /// It does not know its id yet, so it cannot send heartbeats.
  bool is_new = false;
  /// Asked for no assignment of this generation so far.
  bool owes_sync = false;
  Timer session;
  common::Instant last_heard{};

  const Protocol* protocol(const std::string& name) const;
};

/// Table of members with the counts that decide transitions; all but the walks cost O(1).
class ClassicMembers {
 public:
  using Table = std::map<std::string, ClassicMember>;

  std::size_t size() const { return table_.size(); }
  bool empty() const { return table_.empty(); }
  Table::const_iterator begin() const { return table_.begin(); }
  Table::const_iterator end() const { return table_.end(); }
  /// nullptr: no such member.
  ClassicMember* find(const std::string& id);
  const ClassicMember* find(const std::string& id) const;
  /// The member of a static identity.
  ClassicMember* find_instance(const std::string& instance);
  /// All ids, for walks that change the table.
  std::vector<std::string> ids() const;

  /// Requires that neither id nor instance is taken. The first member leads.
  ClassicMember& add(ClassicMember member);
  /// Requires that it is there and that none of its requests waits. If it led, another one does.
  void remove(const std::string& id);
  /// The holder of a static identity gets a new id, and keeps everything else, also the lead.
  /// Requires a member with that instance, and none with that id.
  ClassicMember& rename(const std::string& instance, const std::string& new_id);

  const std::string& leader() const { return leader_; }  // empty: none
  void lead(const std::string& id);

  void set_protocols(ClassicMember& member, std::vector<Protocol> protocols);
  void wait_for_join(ClassicMember& member, Ticket ticket);
  void wait_for_sync(ClassicMember& member, Ticket ticket);
  std::optional<Ticket> take_join(ClassicMember& member);
  std::optional<Ticket> take_sync(ClassicMember& member);
  void owe_sync(ClassicMember& member);
  void forgive_sync(ClassicMember& member);

  std::size_t joining() const { return joining_; }
  std::size_t owing_sync() const { return owing_sync_; }
  /// The longest rebalance timeout of all, in ms; 0 without members.
  std::int32_t rebalance_timeout_ms() const;
  /// Whether one of the protocols is known to every member. True without members.
  bool supports_any(const std::vector<Protocol>& protocols) const;
  /// The protocol for all: among those that every member knows, the one that most members like
  /// best; among equals the one that the leader likes better. Requires that there is one.
  std::string elect_protocol() const;

 private:
  void count_protocols(const ClassicMember& member, int by);

  Table table_;
  std::unordered_map<std::string, std::string> instances_;  // to member ids
  std::map<std::string, std::size_t> known_by_;             // protocol to number of members
  std::string leader_;
  std::size_t joining_ = 0;
  std::size_t owing_sync_ = 0;
};

}  // namespace millrace::coordinator
