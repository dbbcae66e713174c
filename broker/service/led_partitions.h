// common::Bytes body = encode(partitions);   TRY_ASSIGN(auto partitions, decode_led(body));
//
// What a broker reports of the partitions that it leads, to whoever plans for the cluster.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/model/ids.h"
#include "broker/raft/voters.h"
#include "common/bytes.h"
#include "common/result.h"

namespace millrace::service {

struct LedPartition {
  model::PartitionKey key;
  model::Term term;
  std::vector<raft::ReplicaId> voters;
  /// Those of the voters that are in sync, the leader included.
  std::vector<raft::ReplicaId> caught_up;
  /// Of its log, about: see coarse_bytes().
  std::int64_t bytes = 0;
  std::int32_t insync_min = 1;
  bool operator==(const LedPartition&) const = default;
};

/// The size in steps of at most an eighth, or 64 KiB if that is more, so that a log that grows does
/// not make every report differ from the one before. Never less than it is. Requires bytes >= 0.
std::int64_t coarse_bytes(std::int64_t bytes);

/// As the body of a call's answer: docs/formats/cluster.md. Requires at most kVotersMax voters
/// each.
common::Bytes encode(const std::vector<LedPartition>& partitions);
/// kCorruptMessage: it makes no sense. kUnsupportedVersion. Safe on any bytes.
common::Result<std::vector<LedPartition>> decode_led(common::ByteView body);

/// Of an encoded report; 0: of none. Equal reports have equal sums.
std::uint64_t sum_of(common::ByteView body);

}  // namespace millrace::service
