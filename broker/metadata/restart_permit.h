// const PermitAnswer answer = restart_permit(image, view, {broker, incarnation, now_ms, 120'000});
//
// Who may stop now. Pure; part of the metadata machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/metadata/image.h"
#include "broker/metadata/view.h"

namespace millrace::metadata {

struct PermitRequest {
  model::BrokerId broker{-1};
  common::Uuid incarnation;
  std::int64_t now_ms = 0;
  std::int64_t lasts_ms = 0;
};

/// A partition that would have too few replicas left.
struct PermitBlocker {
  model::PartitionKey partition;
  std::int32_t left = 0;
  std::int32_t needed = 0;
  /// The brokers of the partition that are away, may stop, or are behind.
  Replicas missing;
  bool operator==(const PermitBlocker&) const = default;
};

struct PermitAnswer {
  bool granted = false;
  /// What to commit if it is granted; empty if the permit is there already.
  std::vector<Record> records;
  /// The first kBlockersMax of them, in order of partition.
  std::vector<PermitBlocker> blockers;
  std::int64_t blocked_partitions = 0;
  /// Partitions without a spare replica, which pause while the broker is away. They do not block,
  /// or no broker that has one could ever be restarted.
  std::int64_t pausing_partitions = 0;
  /// Empty, or why the request makes no sense as such.
  std::string refusal;
};
inline constexpr std::size_t kBlockersMax = 10;

/// A permit is given if each partition that votes on the broker keeps, without it and without all
/// that are away or hold a permit, a majority of caught-up voters and insync_min of them. Several
/// brokers may hold one at once, but only one of those that a moving partition leaves, stays on or
/// goes to: any of them may vote when the broker stops. A partition whose state is not known
/// blocks.
PermitAnswer restart_permit(const Image& image, const View& view, const PermitRequest& request);

/// PermitEnded for what lapsed: its time is over, or the next incarnation is there and recovered.
/// PermitGranted again, from now on, for what would last longer than was asked for: who granted it
/// had a clock that is ahead of this one.
std::vector<Record> permits_due(const Image& image, const View& view, std::int64_t now_ms);

}  // namespace millrace::metadata
