// The members of a classic group: who they are, what they can, whom the group waits for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
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

/// The table of members, in the order of their ids, with the counts that decide transitions.
class ClassicMembers {
 public:
  using Table = std::map<std::string, ClassicMember>;

  std::size_t size() const { return table_.size(); }
  bool empty() const { return table_.empty(); }
  Table::iterator begin() { return table_.begin(); }
  Table::iterator end() { return table_.end(); }
  Table::const_iterator begin() const { return table_.begin(); }
  Table::const_iterator end() const { return table_.end(); }
  /// nullptr: no such member.
  ClassicMember* find(const std::string& id);
  const ClassicMember* find(const std::string& id) const;
  /// The member of a static identity.
  ClassicMember* find_instance(const std::string& instance);
  const ClassicMember* find_instance(const std::string& instance) const;
  /// All ids, for walks that change the table.
  std::vector<std::string> ids() const;

  /// Requires that neither id nor instance is taken. The first member leads.
  ClassicMember& add(ClassicMember member);
  /// Requires that it is there and that none of its requests waits. If it led, another one does.
  void remove(const std::string& id);
  /// The holder of a static identity gets a new id, and keeps everything else, also the lead.
  /// Requires a member with that instance whose requests do not wait, and none with that id. Its
  /// session timer is cleared: that one knows the old id.
  ClassicMember& rename(const std::string& instance, const std::string& new_id);

  const std::string& leader() const { return leader_; }  // empty: none
  void lead(const std::string& id);

  /// Of protocols of one name the first counts.
  void set_protocols(ClassicMember& member, const std::vector<Protocol>& protocols);
  /// Require that no such request of the member waits.
  void wait_for_join(ClassicMember& member, Ticket ticket);
  void wait_for_sync(ClassicMember& member, Ticket ticket);
  /// The request that waits, for whoever answers it now.
  std::optional<Ticket> take_join(ClassicMember& member);
  std::optional<Ticket> take_sync(ClassicMember& member);
  void set_owes_sync(ClassicMember& member, bool owes);

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
  void count(const ClassicMember& member);
  void uncount(const ClassicMember& member);

  Table table_;
  std::unordered_map<std::string, std::string> instances_;  // to member ids
  std::map<std::string, std::size_t> known_by_;             // protocol to number of members
  std::string leader_;
  std::size_t joining_ = 0;
  std::size_t owing_sync_ = 0;
};

}  // namespace millrace::coordinator
