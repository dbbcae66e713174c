// What members and admins ask of a group, and what they are told. No protocol's encoding: the Kafka
// and gRPC doors translate. Names and meanings are Kafka's; each outcome lists its error codes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "broker/coordinator/ids.h"

namespace millrace::coordinator {

// ---- The classic protocol (eager and cooperative; KIP-62, KIP-345, KIP-394, KIP-559, KIP-800)
// ----

/// A way of assigning that a member knows, with what it tells the assigning member.
struct Protocol {
  std::string name;        // "range", "cooperative-sticky" ...
  common::Bytes metadata;  // opaque here, except that "consumer" subscriptions name topics
  bool operator==(const Protocol&) const = default;
};

struct JoinGroup {
  std::string group;
  std::string member;                   // empty: a new member
  std::optional<std::string> instance;  // static membership (KIP-345)
  std::string protocol_type;            // "consumer", "connect" ...
  std::vector<Protocol> protocols;      // the member's favourite first
  std::int32_t session_timeout_ms = 0;
  std::int32_t rebalance_timeout_ms = 0;
  ClientInfo client;
  std::string reason;  // why it joins, for the log (KIP-800)
  /// What a new member is called; unique, drawn by the caller ("CLIENT_ID-UUID").
  std::string fresh_member;
  /// A new dynamic member is first told its id and must come again with it (JoinGroup 4 and later).
  bool member_id_required = false;
  /// The member understands that a returning static leader need not assign again (JoinGroup 9).
  bool skip_assignment_known = false;
};
/// kUnknownMemberId, kFencedInstanceId, kInconsistentGroupProtocol, kInvalidSessionTimeout,
/// kMemberIdRequired (with the id), kGroupMaxSizeReached, kRebalanceInProgress, kInvalidGroupId,
/// kGroupIdNotFound ...
struct JoinOutcome {
  Status status;
  Epoch generation{-1};
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol;
  std::string leader;
  std::string member;
  bool skip_assignment = false;
  struct Member {
    std::string member;
    std::optional<std::string> instance;
    common::Bytes metadata;
  };
  std::vector<Member> members;  // for the leader only
};

struct SyncGroup {
  std::string group;
  Epoch generation{-1};
  std::string member;
  std::optional<std::string> instance;
  std::optional<std::string> protocol_type;  // checked when given (KIP-559)
  std::optional<std::string> protocol;
  struct Assignment {
    std::string member;
    common::Bytes assignment;
  };
  std::vector<Assignment> assignments;  // of the leader; others send none
};
/// kUnknownMemberId, kFencedInstanceId, kIllegalGeneration, kRebalanceInProgress,
/// kInconsistentGroupProtocol.
struct SyncOutcome {
  Status status;
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol;
  common::Bytes assignment;
};

struct Heartbeat {
  std::string group;
  Epoch generation{-1};
  std::string member;
  std::optional<std::string> instance;
};

struct LeaveGroup {
  std::string group;
  struct Member {
    std::string member;  // may be empty when an instance is given
    std::optional<std::string> instance;
    std::string reason;
  };
  std::vector<Member> members;
};
struct LeaveOutcome {
  Status status;                // of the whole request
  std::vector<Status> members;  // in the order of the request
};

// ---- The consumer protocol (KIP-848) ----

struct ConsumerHeartbeat {
  std::string group;
  std::string member;  // drawn by the client; by the caller for old clients
  Epoch epoch{0};      // 0: join, -1: leave, -2: a static member leaves for a while
  std::optional<std::string> instance;
  std::optional<std::string> rack;
  std::int32_t rebalance_timeout_ms = -1;             // -1: unchanged
  std::optional<std::vector<std::string>> topics;     // nullopt: unchanged
  std::optional<std::string> topic_regex;             // RE2 syntax; nullopt: unchanged
  std::optional<std::string> assignor;                // server-side; nullopt: unchanged
  std::optional<std::vector<TopicPartitions>> owned;  // nullopt: unchanged
  ClientInfo client;
};
/// kUnknownMemberId, kFencedMemberEpoch, kUnreleasedInstanceId, kFencedInstanceId,
/// kUnsupportedAssignor, kGroupMaxSizeReached, kInvalidRequest, kInvalidRegularExpression,
/// kGroupIdNotFound ...
struct ConsumerHeartbeatOutcome {
  Status status;
  std::string member;
  Epoch epoch{0};
  std::int32_t heartbeat_interval_ms = 0;
  std::optional<std::vector<TopicPartitions>> assignment;  // nullopt: unchanged
};

// ---- Offsets (both protocols) ----

/// A topic as a client named it; commits by id know both.
struct TopicName {
  std::string name;
  model::TopicId id;  // zero: unknown
};

struct CommittedOffset {
  model::Offset offset{-1};
  std::int32_t leader_epoch = -1;
  std::string metadata;
  common::Timestamp committed{-1};
  /// Only from commits with a retention of their own (OffsetCommit 2..4); -1: none.
  common::Timestamp expires{-1};
  bool operator==(const CommittedOffset&) const = default;
};

struct OffsetCommit {
  std::string group;
  /// Generation or member epoch. -1 with an empty member: a commit without membership, allowed
  /// while the group is empty (or dead).
  Epoch epoch{-1};
  std::string member;
  std::optional<std::string> instance;
  std::int64_t retention_ms = -1;
  /// The client knows of member epochs (OffsetCommit 9 and later, and gRPC): without that, a member
  /// of the consumer protocol is refused with kUnsupportedVersion.
  bool member_epochs_known = true;
  struct Partition {
    TopicName topic;
    std::int32_t partition = 0;
    model::Offset offset{-1};
    std::int32_t leader_epoch = -1;
    std::string metadata;
  };
  std::vector<Partition> partitions;
};
/// kUnknownMemberId, kIllegalGeneration, kStaleMemberEpoch, kFencedInstanceId,
/// kRebalanceInProgress, kOffsetMetadataTooLarge, kGroupIdNotFound ...
struct OffsetCommitOutcome {
  Status status;                      // of the whole; then the partitions are empty
  std::vector<ErrorCode> partitions;  // in the order of the request
};

struct OffsetFetch {
  std::string group;
  /// Both are checked when given (KIP-848): kStaleMemberEpoch, kUnknownMemberId.
  std::optional<std::string> member;
  Epoch epoch{-1};
  struct Partition {
    TopicName topic;
    std::int32_t partition = 0;
  };
  std::optional<std::vector<Partition>> partitions;  // nullopt: all that are committed
  bool require_stable = false;  // kUnstableOffsetCommit where a transaction is open
};
struct OffsetFetchOutcome {
  Status status;
  struct Partition {
    TopicName topic;
    std::int32_t partition = 0;
    ErrorCode code = ErrorCode::kNone;
    CommittedOffset committed;  // offset -1: none
  };
  std::vector<Partition> partitions;
};

struct OffsetDelete {
  std::string group;
  std::vector<OffsetFetch::Partition> partitions;
};
/// kGroupIdNotFound, kNonEmptyGroup; per partition kGroupSubscribedToTopic.
struct OffsetDeleteOutcome {
  Status status;
  std::vector<ErrorCode> partitions;
};

// ---- Admin ----

/// As Kafka's tools print them. Classic: Empty, PreparingRebalance, CompletingRebalance, Stable,
/// Dead. Consumer: Empty, Assigning, Reconciling, Stable, Dead.
enum class GroupState : std::uint8_t {
  kEmpty,
  kPreparingRebalance,
  kCompletingRebalance,
  kStable,
  kDead,
  kAssigning,
  kReconciling
};
enum class GroupType : std::uint8_t { kClassic, kConsumer };
std::string_view name_of(GroupState state);
std::string_view name_of(GroupType type);

struct GroupSummary {
  std::string group;
  std::string protocol_type;
  GroupState state = GroupState::kEmpty;
  GroupType type = GroupType::kClassic;
};

/// One group in full, of either type; the fields of the other type are empty.
struct GroupDescription {
  Status status;  // kGroupIdNotFound: then the state is Dead
  GroupSummary summary;
  Epoch epoch{-1};             // generation, or group epoch
  Epoch assignment_epoch{-1};  // consumer groups
  std::string protocol;        // chosen protocol, or assignor
  struct Member {
    std::string member;
    std::optional<std::string> instance;
    std::optional<std::string> rack;
    ClientInfo client;
    // Classic members (also those in a consumer group):
    common::Bytes metadata;
    common::Bytes assignment_bytes;
    // Consumer groups:
    Epoch epoch{-1};
    std::vector<std::string> topics;
    std::string topic_regex;
    std::vector<TopicPartitions> assignment;
    std::vector<TopicPartitions> target;
    bool classic = false;
    common::Instant last_heard{};
  };
  std::vector<Member> members;
};

/// Whatever a request was, what it is told.
using Answer = std::variant<Status, JoinOutcome, SyncOutcome, LeaveOutcome,
                            ConsumerHeartbeatOutcome, OffsetCommitOutcome, OffsetDeleteOutcome>;

}  // namespace millrace::coordinator
