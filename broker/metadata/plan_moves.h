// const MovePlan plan = plan_moves(image, view, limits);
//
// What should happen to replicas next. Pure: the same image and view give the same plan, and as
// long as nothing was applied, asking again gives it again. Run it whenever either changes.
//
// In order: moves that are done are completed; replicas on brokers that are gone, dead or on
// another disk are replaced; draining brokers are emptied; then, once nothing is under way, the
// counts of each topic are evened out, then those of all, then bytes, then preferred leaders
// (plan_even.h). A partition has one move at a
// time. One without a leader is left alone: its voters could not change.
//  - A target has as many replicas as before, and never fewer that are alive.
//  - What somebody placed by hand stays there, unless it must leave.
//  - A target is never less spread over racks than any other choice of homes for what must leave;
//    evening out never makes it less spread than it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/metadata/image.h"
#include "broker/metadata/view.h"

namespace millrace::metadata {

struct MoveLimits {
  /// broker.dead.after.ms.
  std::int64_t dead_after_ms = 600'000;
  std::int32_t moves_max = 500;
  /// Moves that go to one broker at once. Bytes are what costs; this bounds what small ones do.
  std::int32_t moves_to_broker_max = 100;
  /// What all moves together may copy per second, and for how many seconds of that moves are begun
  /// ahead; the first move begins whatever its size.
  std::int64_t bytes_per_second = 50'000'000;
  std::int64_t seconds_ahead = 60;
  /// Brokers whose bytes differ by less are left as they are.
  std::int64_t bytes_uneven_min = std::int64_t{1} << 30;
};

struct PlannedRecord {
  Record record;
  std::string reason;
};

/// Why a broker cannot be emptied or replaced yet: one line per broker and cause.
struct MoveBlocker {
  model::BrokerId broker{-1};
  std::string cause;
  std::int64_t partitions = 0;
  model::PartitionKey example;
};

struct MovePlan {
  std::vector<PlannedRecord> actions;
  std::vector<MoveBlocker> blockers;
};

MovePlan plan_moves(const Image& image, const View& view, const MoveLimits& limits);

}  // namespace millrace::metadata
