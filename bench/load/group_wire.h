// The messages of consumer groups, as the load needs them: FindCoordinator 0, JoinGroup 3,
// SyncGroup 2, Heartbeat 2, LeaveGroup 1, OffsetCommit 5 of the classic protocol, and
// ConsumerGroupHeartbeat 0 (KIP-848), the only one with tagged fields. Bodies start behind the
// head, as in wire.h; answers start behind the correlation id.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/load/wire.h"

namespace millrace::bench {

inline constexpr Api kOffsetCommitApi{8, 5};
inline constexpr Api kFindCoordinatorApi{10, 0};
inline constexpr Api kJoinGroupApi{11, 3};
inline constexpr Api kHeartbeatApi{12, 2};
inline constexpr Api kLeaveGroupApi{13, 1};
inline constexpr Api kSyncGroupApi{14, 2};
inline constexpr Api kConsumerGroupHeartbeatApi{68, 0};

inline constexpr int kRebalanceInProgress = 27;

using TopicId = std::array<std::uint8_t, 16>;

/// Who speaks: a member of a group at a generation (classic) or an epoch (KIP-848).
struct MemberAt {
  std::string group;
  std::string member;  // empty: the broker is to give a name
  std::int32_t generation = 0;
};

Buffer find_coordinator_body(const std::string& group);

struct JoinWishes {
  std::string topic;
  std::int32_t session_ms = 45'000;
  std::int32_t rebalance_ms = 60'000;
};
Buffer join_body(const MemberAt& who, const JoinWishes& wishes);
struct JoinAnswer {
  int error;
  std::int32_t generation;
  std::string leader;
  std::string member;
  std::vector<std::string> members;  // the leader is told them all
};
JoinAnswer read_join(common::ByteView answer);

/// members: none where somebody else leads; otherwise `partitions` partitions of the topic are
/// dealt out to them in turn.
struct Deal {
  std::span<const std::string> members;
  std::string topic;
  int partitions = 0;
};
Buffer sync_body(const MemberAt& who, const Deal& deal);
struct SyncAnswer {
  int error;
  int partitions;  // how many this member got
};
SyncAnswer read_sync(common::ByteView answer);

Buffer heartbeat_body(const MemberAt& who);
Buffer leave_body(const MemberAt& who);
/// The error of an answer to Heartbeat or LeaveGroup.
int read_error(common::ByteView answer);

/// A commit of partitions [0, partitions) of one topic. Offsets start at 0.
struct CommitBody {
  Buffer bytes;
  std::vector<std::size_t> offset_positions;
};
CommitBody commit_body(const MemberAt& who, const std::string& topic, int partitions);
/// The first error that is not 0. Ends the program when the answer is not about `partitions`
/// partitions.
int read_commit(common::ByteView answer, int partitions);

/// What a member of the new protocol says beyond that it lives.
struct ConsumerReport {
  std::string subscribed;          // empty: unchanged
  std::int32_t rebalance_ms = -1;  // -1: unchanged
  bool tells_owned = false;
  TopicId topic{};
  std::span<const std::int32_t> owned;
};
Buffer consumer_heartbeat_body(const MemberAt& who, const ConsumerReport& report);
struct ConsumerAnswer {
  int error;
  std::string message;
  std::string member;
  std::int32_t epoch;
  struct Assignment {
    TopicId topic{};
    std::vector<std::int32_t> partitions;
  };
  std::optional<Assignment> assignment;  // nullopt: unchanged
};
ConsumerAnswer read_consumer_heartbeat(common::ByteView answer);

}  // namespace millrace::bench
