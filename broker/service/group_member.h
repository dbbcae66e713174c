// auto member = GroupMember::join(here, {.group = "orders-app", .topics = {"orders"}}, events);
// member->commit({...}, reply);   ...   member->released();   ...   member->leave(way, done);
//
// A member of a consumer group that lives in the broker, on behalf of a client that streams: the
// member's half of the consumer protocol (KIP-848). It heartbeats, takes what it is assigned and
// gives back what it is asked for.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/coordinator/requests.h"
#include "broker/service/shard.h"

namespace millrace::service {

struct MemberOptions {
  std::string group;
  std::optional<std::string> instance;  // static membership
  std::optional<std::string> rack;
  std::vector<std::string> topics;
  std::optional<std::string> topic_regex;
  std::optional<std::string> assignor;
  /// How long the group waits for released().
  std::int32_t rebalance_timeout_ms = 300'000;
  coordinator::ClientInfo client;
};

struct AssignedPartition {
  model::PartitionKey key;
  std::string topic;
  coordinator::CommittedOffset committed;  // offset -1: the group has none
};

/// What a member tells its owner; on the shard's loop, never inside a call of the owner's.
class MemberEvents {
 public:
  virtual ~MemberEvents() = default;
  virtual void on_joined() = 0;
  /// These are the member's from here on.
  virtual void on_assigned(std::vector<AssignedPartition> partitions) = 0;
  /// These go to others after GroupMember::released(). Not called again before that.
  virtual void on_revoking(std::vector<model::PartitionKey> partitions) = 0;
  /// These are gone already: the group gave the member up. It joins again by itself.
  virtual void on_lost(std::vector<model::PartitionKey> partitions, const std::string& reason) = 0;
  /// The group will not have this member. Nothing follows.
  virtual void on_failed(const common::Error& error) = 0;
};

/// States: joining -> member -> (lost) joining; any -> leaving -> gone; any -> gone (failed).
/// One request to the coordinator is under way at a time, so that each carries the epoch that the
/// coordinator knows; commits go before heartbeats, and the leave comes last. Shard thread only.
class GroupMember : public std::enable_shared_from_this<GroupMember> {
 public:
  /// Begins to join. `events` must stay until on_failed() came or leave() was called.
  static std::shared_ptr<GroupMember> join(Shard& here, MemberOptions options,
                                           MemberEvents& events);
  ~GroupMember();

  const std::string& id() const { return id_; }
  bool owns(const model::PartitionKey& key) const { return owned_.contains(key); }

  /// Stores offsets. Answers one code for each partition, in order, and on a later turn of the
  /// loop: kStaleMemberEpoch for one that is not this member's; kUnknownMemberId if the group gave
  /// the member up meanwhile. Commits are stored in the order of the calls. Not after leave().
  using CommitPartition = coordinator::OffsetCommit::Partition;
  void commit(std::vector<CommitPartition> partitions,
              common::Reply<std::vector<model::ErrorCode>> done);
  /// Commits still without an answer.
  std::size_t commits_open() const { return commits_.size(); }

  /// The owner is done with the partitions of on_revoking(). Commits asked for before are stored
  /// before others get them.
  void released();

  enum class Leaving : std::uint8_t {
    kForGood,
    kForAWhile,  // a static member's partitions wait for it; others leave for good
  };
  /// Leaves after the commits asked for so far; then `done`. Events end at once.
  void leave(Leaving way, common::Function<void()> done);

 private:
  using Keys = std::set<model::PartitionKey>;
  using Codes = std::vector<model::ErrorCode>;
  struct OpenCommit {
    std::vector<CommitPartition> sent;  // those that are this member's
    std::vector<std::size_t> places;    // of each, in the answer
    Codes codes;
    common::Reply<Codes> done;
  };
  enum class State : std::uint8_t { kJoining, kMember, kGone };

  GroupMember(Shard& here, MemberOptions options, MemberEvents& events);

  // What to do next (group_member.cc, turn()).
  void turn();
  void turn_later();
  void find_coordinator();
  void send_heartbeat();
  bool revoke();
  bool take_added();
  void send_commit();
  void send_leave();

  // What came of it.
  void heartbeat_answered(const coordinator::ConsumerHeartbeatOutcome& outcome);
  void heartbeat_refused(const coordinator::Status& status);
  void offsets_answered(std::vector<AssignedPartition> added,
                        const coordinator::OffsetFetchOutcome& outcome);
  void commit_answered(OpenCommit commit, const coordinator::OffsetCommitOutcome& outcome);
  void retry(model::ErrorCode code);
  void lose(const std::string& reason);
  void fail(const coordinator::Status& status);
  void gone();
  void refuse_commits(model::ErrorCode code);
  void schedule_heartbeat();
  coordinator::ConsumerHeartbeat heartbeat(coordinator::Epoch epoch) const;
  std::vector<coordinator::TopicPartitions> owned_list() const;

  /// A reply that comes back to this member on a turn of its own, with no request under way.
  template <typename T, typename Then>
  common::Reply<T> on_answer(Then then);

  Shard& here_;
  const MemberOptions options_;
  MemberEvents* events_;  // null once the owner left
  const std::string id_;
  const common::Instant began_;
  State state_ = State::kJoining;
  coordinator::Epoch epoch_{0};
  common::Duration interval_{};
  Keys owned_;     // the revoking ones included
  Keys target_;    // what the coordinator said last
  Keys revoking_;  // until released()
  bool announced_ = false;
  bool exchanging_ = false;     // a request is under way
  bool found_ = false;          // the coordinator is there
  bool asked_to_join_ = false;  // the coordinator may know of the member
  bool heartbeat_due_ = true;
  bool owned_changed_ = false;  // and the coordinator has not heard of it
  std::size_t commits_before_release_ = 0;
  std::deque<OpenCommit> commits_;
  common::Duration backoff_{};
  env::TimerId heartbeat_timer_ = env::TimerId::kNone;
  env::TimerId backoff_timer_ = env::TimerId::kNone;
  std::optional<Leaving> leaving_;
  common::Function<void()> left_;
};

}  // namespace millrace::service
