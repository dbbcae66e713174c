// Use case: append batches to partitions.
#pragma once

#include <vector>

#include "broker/service/leaders.h"
#include "broker/service/partition_ref.h"

namespace millrace::service {

/// `records`: exactly one record batch for its partition (null or empty is refused); patched in
/// place.
struct ProduceItem {
  PartitionRef target;
  common::Bytes records;
};

struct ProduceCommand {
  replica::Acks acks = replica::Acks::kAll;
  /// How long acks=all may wait for other replicas: kRequestTimedOut, or
  /// kNotEnoughReplicasAfterAppend. 0: until it is decided.
  common::Duration timeout{0};
  std::vector<ProduceItem> items;
};

struct ProduceOutcome {
  /// kNone: appended (and committed, for acks=all) at `appended`.
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
  /// Records at fault, when the batch was refused for some of them (KIP-467).
  std::vector<model::RecordError> records;
  /// With an error: an offset of 0 or more says that it was written there, and that nobody knows
  /// what becomes of it; -1, that it was not.
  replica::Appended appended{.base_offset = model::Offset{-1}, .log_start = {}};
  /// With kNotLeaderOrFollower: who leads, as far as is known here.
  LeaderHint leader;
};

/// Outcomes in the order of the items. Runs on `here`'s loop and answers there; items of other
/// shards are forwarded. With acks=none the answer comes at once after the appends were tried.
void produce(Shard& here, ProduceCommand command, common::Reply<std::vector<ProduceOutcome>> done);

}  // namespace millrace::service
