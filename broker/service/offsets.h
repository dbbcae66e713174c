// Use cases: offsets by time, offsets by leader epoch, and trimming the front of a log.
#pragma once

#include <vector>

#include "broker/service/partition_ref.h"

namespace millrace::service {

/// Special targets of list_offsets, as Kafka's ListOffsets has them.
inline constexpr common::Timestamp kLatest{-1};
inline constexpr common::Timestamp kEarliest{-2};
inline constexpr common::Timestamp kMaxTimestamp{-3};
inline constexpr common::Timestamp kEarliestLocal{-4};
inline constexpr common::Timestamp kLatestTiered{-5};

struct OffsetQuery {
  PartitionRef target;
  model::Term leader_epoch{-1};
  /// Milliseconds, or one of the special targets.
  common::Timestamp at = kLatest;
};

struct OffsetAnswer {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
  /// -1 with offset -1: nothing at or after that time.
  common::Timestamp timestamp{-1};
  model::Offset offset{-1};
  model::Term leader_epoch{-1};
};

/// Answers in the order of the queries, on `here`'s loop.
void list_offsets(Shard& here, std::vector<OffsetQuery> queries, replica::Isolation isolation,
                  common::Reply<std::vector<OffsetAnswer>> done);

struct EpochQuery {
  PartitionRef target;
  model::Term current_epoch{-1};
  model::Term epoch;
};

struct EpochAnswer {
  model::ErrorCode code = model::ErrorCode::kNone;
  model::Term epoch{-1};
  model::Offset end_offset{-1};
};

void offsets_for_epochs(Shard& here, std::vector<EpochQuery> queries,
                        common::Reply<std::vector<EpochAnswer>> done);

struct DeleteRecordsItem {
  PartitionRef target;
  /// -1: the high watermark.
  model::Offset before;
};

struct DeleteRecordsOutcome {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
  /// The log start offset now (Kafka calls it the low watermark); -1 with an error.
  model::Offset low_watermark{-1};
};

void delete_records(Shard& here, std::vector<DeleteRecordsItem> items,
                    common::Reply<std::vector<DeleteRecordsOutcome>> done);

}  // namespace millrace::service
