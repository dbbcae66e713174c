// Reads everything at the end of a run, when nothing moves any more.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/client/fetcher.h"
#include "tests/sim/group_history.h"
#include "tests/sim/workload/actor.h"

namespace millrace::sim {

/// Every partition that was written to must be there, and hold what the history says, from its
/// start to its end; every group must have committed all of it.
class Auditor final : public Actor {
 public:
  struct Scope {
    /// Names of all topics there may be.
    std::vector<std::string> topics;
    /// Groups with members, and what they read.
    std::map<std::string, std::string> groups;
  };
  Auditor(Client::Parts client, History& history, GroupHistory& groups, Scope scope);
  void start() override;
  void finish() override {}
  std::string unfinished() const override;

 private:
  void look();
  void ask_start(const Target& target, const PartitionKey& key);
  void ask_start_again(const Target& target, const PartitionKey& key);
  void look_again();
  void close_if_done();
  void close();

  Client client_;
  Fetcher fetcher_;
  History& history_;
  GroupHistory& groups_;
  const Scope scope_;
  std::map<PartitionKey, Target> targets_;
  std::map<PartitionKey, Offset> starts_;
  std::map<PartitionKey, std::vector<ReadRecord>> records_;
  common::Instant began_{};
  bool looked_ = false;
  bool done_ = false;
};

}  // namespace millrace::sim
