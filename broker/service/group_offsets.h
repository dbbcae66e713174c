// Use cases: move or forget the committed offsets of a group that has no members.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/coordinator/requests.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// Partitions of one topic; empty: all of them.
struct TopicChoice {
  std::string topic;
  std::vector<std::int32_t> partitions;
};

/// Where offsets shall go.
struct OffsetMove {
  enum class To : std::uint8_t {
    kEarliest,
    kLatest,
    kOffset,  // `value` is the offset
    kTime,    // `value` is milliseconds since 1970: the first record at or after it, or the end
    kShift,   // `value` records on from the committed offset; negative: back
  };
  To to = To::kEarliest;
  std::int64_t value = 0;
};

struct ExactOffset {
  std::string topic;
  std::int32_t partition = 0;
  model::Offset offset;
  std::string metadata;
};

struct OffsetReset {
  std::string group;
  /// Empty: every partition the group has an offset of.
  std::vector<TopicChoice> topics;
  OffsetMove move;
  /// Instead of topics and move, if there are any.
  std::vector<ExactOffset> exact;
  /// Works out everything and stores nothing.
  bool dry_run = false;
};

struct OffsetResetRow {
  std::string topic;
  std::int32_t partition = 0;
  std::optional<model::Offset> before;  // nullopt: none was committed
  /// Within the log: what is outside is moved to its start or end.
  model::Offset after{-1};
  model::Offset log_start{-1};
  model::Offset end{-1};
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
};

/// Rows in order of topic and partition. A group that does not exist is made, if topics or exact
/// offsets are given. kNonEmptyGroup: it has members; kGroupIdNotFound; kUnknownTopicOrPartition: a
/// topic of the request does not exist; kInvalidRequest: a shift where nothing is committed.
void reset_group_offsets(Shard& here, OffsetReset reset,
                         common::Reply<common::Result<std::vector<OffsetResetRow>>> done);

struct DeletedOffsetRow {
  std::string topic;
  std::int32_t partition = 0;
  model::ErrorCode code = model::ErrorCode::kNone;
};

/// Forgets offsets; a choice without partitions: all that the group has of the topic. Rows in order
/// of topic and partition. kGroupIdNotFound; per row kGroupSubscribedToTopic.
void delete_group_offsets(Shard& here, std::string group, std::vector<TopicChoice> topics,
                          common::Reply<common::Result<std::vector<DeletedOffsetRow>>> done);

}  // namespace millrace::service
