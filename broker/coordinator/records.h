// The records of __consumer_offsets: Kafka's keys and values, number for number, so that tools that
// read the topic understand ours. Layout: proto/kafka/records/*.api;
// docs/formats/consumer-offsets.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "broker/coordinator/requests.h"

namespace millrace::coordinator {

/// A value nullopt is a tombstone: what the key names is gone. Key type numbers are Kafka's
/// (OffsetCommit 0 and 1, GroupMetadata 2, ConsumerGroup* 3..8, 16).
struct OffsetRecord {
  std::string group;
  std::string topic;
  std::int32_t partition = 0;
  std::optional<CommittedOffset> value;
  model::TopicId topic_id;  // zero: unknown; lost by a commit that expires by itself
  bool operator==(const OffsetRecord&) const = default;
};
struct ClassicGroupRecord {
  std::string group;
  struct Member {
    std::string member;
    std::optional<std::string> instance;
    ClientInfo client;
    std::int32_t rebalance_timeout_ms = 0;
    std::int32_t session_timeout_ms = 0;
    common::Bytes subscription;
    common::Bytes assignment;
    bool operator==(const Member&) const = default;
  };
  struct Value {
    std::string protocol_type;
    Epoch generation{0};
    std::optional<std::string> protocol;
    /// nullopt with members: they have to join again, whatever their assignments say.
    std::optional<std::string> leader;
    common::Timestamp state_since{-1};
    std::vector<Member> members;
    bool operator==(const Value&) const = default;
  };
  std::optional<Value> value;
  bool operator==(const ClassicGroupRecord&) const = default;
};
/// ConsumerGroupMetadata: the group epoch.
struct ConsumerGroupRecord {
  std::string group;
  struct Value {
    Epoch epoch{0};
    std::int64_t metadata_hash = 0;
    bool operator==(const Value&) const = default;
  };
  std::optional<Value> value;
  bool operator==(const ConsumerGroupRecord&) const = default;
};
/// ConsumerGroupMemberMetadata: who a member is and what it wants.
struct ConsumerMemberRecord {
  std::string group;
  std::string member;
  struct ClassicMember {  // a member of the classic protocol in a consumer group
    std::int32_t session_timeout_ms = 0;
    std::vector<Protocol> protocols;
    bool operator==(const ClassicMember&) const = default;
  };
  struct Value {
    std::optional<std::string> instance;
    std::optional<std::string> rack;
    ClientInfo client;
    std::vector<std::string> topics;
    std::string topic_regex;
    std::int32_t rebalance_timeout_ms = -1;
    std::optional<std::string> assignor;
    std::optional<ClassicMember> classic;
    bool operator==(const Value&) const = default;
  };
  std::optional<Value> value;
  bool operator==(const ConsumerMemberRecord&) const = default;
};
/// ConsumerGroupTargetAssignmentMetadata: the epoch that the targets below belong to.
struct TargetEpochRecord {
  std::string group;
  std::optional<Epoch> value;
  bool operator==(const TargetEpochRecord&) const = default;
};
/// ConsumerGroupTargetAssignmentMember.
struct TargetRecord {
  std::string group;
  std::string member;
  std::optional<std::vector<TopicPartitions>> value;
  bool operator==(const TargetRecord&) const = default;
};
enum class MemberState : std::int8_t {
  kStable = 0,
  kUnrevokedPartitions = 1,
  kUnreleasedPartitions = 2,
  kUnknown = 127
};
/// Partitions of one topic that a member holds, ascending, and the epoch in which each was given to
/// it (KIP-1251): as many as partitions.
struct HeldPartitions {
  model::TopicId topic;
  std::vector<std::int32_t> partitions;
  std::vector<Epoch> epochs;
  bool operator==(const HeldPartitions&) const = default;
};
/// ConsumerGroupCurrentMemberAssignment: where a member is on its way to the target. Where a stored
/// value has no assignment epochs (Kafka before 4.3), decode() puts the member's epoch.
struct CurrentRecord {
  std::string group;
  std::string member;
  struct Value {
    Epoch epoch{0};
    Epoch previous_epoch{0};
    MemberState state = MemberState::kStable;
    std::vector<HeldPartitions> assigned;
    std::vector<HeldPartitions> pending_revocation;
    bool operator==(const Value&) const = default;
  };
  std::optional<Value> value;
  bool operator==(const CurrentRecord&) const = default;
};
/// ConsumerGroupRegularExpression: what a regex matched when it was last resolved.
struct RegexRecord {
  std::string group;
  std::string regex;
  struct Value {
    std::vector<std::string> topics;
    std::int64_t version = 0;
    common::Timestamp resolved{-1};
    bool operator==(const Value&) const = default;
  };
  std::optional<Value> value;
  bool operator==(const RegexRecord&) const = default;
};

using Record =
    std::variant<OffsetRecord, ClassicGroupRecord, ConsumerGroupRecord, ConsumerMemberRecord,
                 TargetEpochRecord, TargetRecord, CurrentRecord, RegexRecord>;

/// Keys and values as they stand in the log, in the value versions that Kafka 4.3 writes.
class EncodedRecords {
 public:
  /// Requires texts of at most 32,767 bytes, as all that come from a Kafka client are.
  explicit EncodedRecords(std::span<const Record> records);
  std::size_t size() const { return extents_.size(); }
  common::ByteView key(std::size_t i) const;
  /// nullopt: a tombstone.
  std::optional<common::ByteView> value(std::size_t i) const;
  /// Of all keys and values.
  std::size_t bytes() const { return bytes_.size(); }

 private:
  struct Extent {
    std::size_t key = 0;
    std::size_t value = 0;
    std::size_t end = 0;
    bool tombstone = false;
  };
  friend class RecordEncoder;

  common::Bytes bytes_;
  std::vector<Extent> extents_;
};
/// nullopt: a key type of Kafka's that this broker has no use for (share and streams groups), to be
/// skipped. kCorruptMessage: not a record of this topic. kUnsupportedVersion: made by a newer
/// broker. Safe on any bytes.
model::Result<std::optional<Record>> decode(common::ByteView key,
                                            std::optional<common::ByteView> value);

/// One batch with these records, ready to be appended. Requires at least one.
common::Bytes to_batch(std::span<const Record> records, common::Timestamp now);

}  // namespace millrace::coordinator
