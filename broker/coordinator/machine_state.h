// What a Machine is made of. Only for the files machine*.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/coordinator/group.h"
#include "broker/coordinator/machine.h"

namespace millrace::coordinator {

struct Machine::State {
  explicit State(const Settings& settings) : shared(settings) {}

  /// Whether an input may join others in the outbox.
  enum class Gather : std::uint8_t { kNo, kWithCommits };
  /// Every input begins with this: checks that the shell dealt with the one before.
  void begin(Gather gather = Gather::kNo);
  /// nullptr: no such group.
  Group* find(const std::string& name);
  const Group* find(const std::string& name) const;
  Group& find_or_make(const std::string& name);
  /// For deterministic walks.
  std::vector<std::string> names() const;
  void forget_if_nothing(const std::string& name);
  /// What is answered tells of this batch.
  void tell_of(std::uint64_t batch) { after = std::max(after, batch); }

  // machine.cc
  void join(Ticket ticket, const JoinGroup& request, Now now);
  void found_consumer_group(Ticket ticket, const ConsumerHeartbeat& request, Group* group, Now now);
  void fire(const TimerTarget& target, Now now);

  // machine_log.cc
  struct Touched {
    std::set<std::string> groups;     // whose members or whose last offsets changed
    std::set<std::string> converted;  // that a classic record made anew
  };
  void apply(const Record& record, Touched* touched);
  void apply(const OffsetRecord& record, Touched* touched);
  void apply(const ClassicGroupRecord& record, Touched* touched);
  void apply_consumer(const Record& record, const std::string& name, bool is_tombstone,
                      Touched* touched);
  void settle(const Touched& touched, Now now);

  /// Whether it must not decide again in this batch: a consumer group decides on what is applied,
  /// and some of its records are not.
  bool has_decided(const std::string& name) const { return decided.count(name) > 0; }

  // machine_offsets.cc
  /// Lets consumer groups look at changed topics, as far as this batch goes.
  void reassign(Now now);
  /// Removes what is too old, as far as this batch and the time of a tick go.
  void sweep(Now now);
  void sweep_group(Group& group, Now now);
  bool is_gone(const std::string& topic, const Offsets::Entry& entry) const;
  bool is_full() const;

  Shared shared;
  /// After `shared`, whose timers the groups hold.
  std::unordered_map<std::string, Group> groups;
  bool is_loaded = false;
  bool is_closed = false;

  // What was asked for and not taken so far.
  Outbox outbox;
  std::uint64_t after = 0;
  bool only_commits = true;
  std::set<std::string> decided;  // consumer groups with records in the outbox, while it ticks

  // What was taken with records, and is neither appended nor refused.
  struct Flight {
    std::uint64_t batch = 0;
    std::vector<std::pair<Ticket, JoinGroup>> joins_again;
  };
  std::optional<Flight> flight;
  std::uint64_t batches = 0;  // numbers given

  // Work that is done in pieces: groups that still have to be looked at, the next one last.
  std::vector<std::string> to_sweep;
  std::vector<std::string> to_reassign;  // consumer groups that have to look at the topics
  common::Instant next_sweep{};
  common::Instant looked_at{};  // when a piece of it was done last: the next one is due
  bool sweeps_for_age = false;  // else only for topics that went
  bool topics_known = false;
  common::Timestamp topics_told{-1};  // when shared.topics came
  /// Topics that went, and when: commits that are not newer go as well.
  std::map<std::string, common::Timestamp> gone;
};

}  // namespace millrace::coordinator
