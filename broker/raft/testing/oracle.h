// What must hold whatever happens, checked from outside after every event (E01 to E08 of the list
// of bugs that others had, and the properties of Raft's figure 3).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/raft/testing/shell.h"

namespace millrace::raft {

/// Where the replicas of a group stand, as far as the checks need it.
class Replicas {
 public:
  virtual ~Replicas() = default;
  /// nullptr: there is none with this id (any more).
  virtual const Shell* find(const ReplicaId& id) const = 0;
};

/// Remembers everything that was ever written, led or committed. The first thing that is wrong is
/// kept in failure().
class Oracle {
 public:
  Oracle(const Replicas& replicas, GroupSettings group_settings)
      : replicas_(replicas), group_settings_(group_settings) {}

  /// Looks at what a call of this replica brought; clears Shell::written().
  void observe(Shell& shell);
  /// Its process ended; what it had shown may be shown again.
  void ended(const ReplicaId& id) { shown_.erase(id); }
  /// Is true when nothing moves any more: both logs are equal where both are.
  void compare(const Shell& left, const Shell& right);

  const std::string& failure() const { return failure_; }
  void fail(std::string what) {
    if (failure_.empty()) failure_ = std::move(what);
  }
  Offset committed() const { return Offset{static_cast<std::int64_t>(committed_.size())}; }
  std::size_t elections() const { return leaders_.size(); }
  std::size_t lossy_elections() const { return lossy_elections_; }
  std::size_t configs() const { return configs_.size(); }

 private:
  void check_written(Shell& shell);
  void check_role(const Shell& shell, const RoleChange& role);
  void check_commit(const Shell& shell, Offset commit);
  void check_majority(const Shell& shell, Offset end, std::size_t wanted, const char* what);
  void check_config(const Shell& shell);
  void note_lossy_election(const Shell& shell);
  bool strict() const { return group_settings_.flush == FlushMode::kStrict; }
  std::uint64_t committed_chain(Offset end) const;

  const Replicas& replicas_;
  GroupSettings group_settings_;
  std::string failure_;
  /// (term, offset) -> chain.
  std::unordered_map<std::uint64_t, std::uint64_t> written_;
  std::map<Term, ReplicaId> leaders_;
  std::map<ConfigId, VoterSet> configs_;
  std::vector<std::uint64_t> committed_;  // chains
  std::map<ReplicaId, Offset> shown_;
  Term newest_confirmed_;
  Term loss_term_;
  std::size_t lossy_elections_ = 0;
};

}  // namespace millrace::raft
