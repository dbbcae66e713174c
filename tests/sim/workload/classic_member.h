// A member of a classic group, as a client library of the older kind acts.
#pragma once

#include <string>
#include <vector>

#include "broker/wire/messages/join_group.h"
#include "broker/wire/messages/sync_group.h"
#include "tests/sim/workload/actor.h"
#include "tests/sim/workload/offset_keeper.h"

namespace millrace::sim {

/// Joins, shares out the partitions if it leads, reads and commits; gives everything back when the
/// group rebalances. Now and then it leaves, or dies without a word, and comes back as a new
/// member.
///
///   kAway -> kJoining -> kSyncing -> kFetching -> kReading -> kJoining (rebalance, or fenced)
///   any -> kAway (leaves or dies)
class ClassicMember final : public Actor {
 public:
  ClassicMember(Client::Parts client, History& history, GroupHistory& groups, std::string group,
                std::string topic);
  void start() override;
  void finish() override;
  std::string unfinished() const override;

 private:
  enum class State : std::uint8_t { kAway, kJoining, kSyncing, kFetching, kReading };

  /// Runs `then` unless the state has changed by then.
  template <typename Then>
  void after(Duration delay, Then then);
  template <typename Take>
  auto while_here(Take take);
  void enter(State state);
  void find();
  void join();
  void joined(const wire::JoinGroupResponse& answer);
  void sync(const wire::JoinGroupResponse& joined);
  void synced(const wire::SyncGroupResponse& answer);
  void fetch_offsets(std::vector<Target> targets);
  void read(const OffsetKeeper::Committed& committed);
  void heartbeat();
  void commit_now_and_then();
  void commit(Reply<model::ErrorCode> done);
  void watch_partitions();
  void rejoin();
  void trouble(model::ErrorCode code);
  void follow_coordinator();
  void live_or_die();
  void go_away();
  OffsetKeeper::Offsets positions() const;

  Client client_;
  Fetcher fetcher_;
  OffsetKeeper keeper_;
  GroupHistory& groups_;
  const std::string group_;
  const std::string topic_;
  State state_ = State::kAway;
  std::uint64_t step_ = 0;  // counts changes of state: late answers are known by it
  std::int32_t coordinator_ = -1;
  Membership who_;
  bool leads_ = false;
  std::size_t shared_out_ = 0;  // partitions, by this member as the leader
  bool finishing_ = false;
  common::Instant finished_writing_{};
};

}  // namespace millrace::sim
