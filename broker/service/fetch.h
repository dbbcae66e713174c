// Use case: read batches of many partitions, waiting for new ones if too little is there.
#pragma once

#include <vector>

#include "broker/service/leaders.h"
#include "broker/service/partition_ref.h"

namespace millrace::service {

struct FetchItem {
  PartitionRef target;
  model::Offset from;
  std::size_t bytes_max = 1 << 20;
  /// -1: not checked.
  model::Term leader_epoch{-1};
  /// Epoch of the record before `from` as the reader knows it; -1: no divergence check (KIP-595).
  model::Term last_fetched_epoch{-1};
};

struct FetchCommand {
  std::vector<FetchItem> items;
  replica::Isolation isolation = replica::Isolation::kReadUncommitted;
  /// Whether any replica may answer, or only leaders. Old clients do not expect the former.
  bool from_followers = false;
  /// Where the reader is: a leader sends it to a nearer replica, if there is one (KIP-392).
  std::string rack;
  /// The listener that it comes by: it is sent to brokers that have an address there only. Empty:
  /// to any.
  std::string listener;
  /// Answers once this many bytes are there...
  std::size_t bytes_min = 1;
  /// ... with at most this many (the first batch found comes whole all the same) ...
  std::size_t bytes_max = 50 << 20;
  /// ... or when this time is over, or when an item has an error.
  common::Duration wait_max{0};
};

struct FetchOutcome {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
  replica::Bounds bounds;
  std::vector<common::Bytes> pieces;
  std::size_t bytes = 0;
  /// Set (term >= 0) when the reader's log diverges: the epoch and end offset to truncate to.
  storage::TermStart diverging{model::Term{-1}, model::Offset{-1}};
  /// With kNotLeaderOrFollower and kFencedLeaderEpoch: who leads, as far as is known here.
  LeaderHint leader;
  /// Where the reader had better read; -1: here. With one, nothing was read.
  model::BrokerId nearer{-1};
};

/// Stops a waiting fetch: it answers at once with what it has. Keep it while the reader is
/// connected.
class FetchHandle {
 public:
  virtual ~FetchHandle() = default;
  virtual void cancel() = 0;
};

/// Outcomes in the order of the items. Runs on `here`'s loop and answers there.
std::shared_ptr<FetchHandle> fetch(Shard& here, FetchCommand command,
                                   common::Reply<std::vector<FetchOutcome>> done);

}  // namespace millrace::service
