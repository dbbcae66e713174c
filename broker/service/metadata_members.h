// const MotionGoal goal = metadata_goal(config, candidates, settings);
//
// Who should vote on the metadata log, and who should only have it: every broker has it, a few of
// them vote. Pure; run by its leader.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/metadata/image.h"
#include "broker/metadata/view.h"
#include "broker/service/motion.h"

namespace millrace::service {

struct MetadataMembersSettings {
  /// How many brokers vote, where there are as many.
  std::size_t voters = 3;
  /// broker.dead.after.ms.
  std::int64_t dead_after_ms = 600'000;
};

/// A process that introduced itself and is heard; it may not be registered yet.
struct MetBroker {
  model::BrokerId node{-1};
  common::Uuid directory;
};

/// - A voter stays one as long as its broker is registered with that directory, active, and not
///   silent for broker.dead.after.ms.
/// - In the place of others come active brokers that are heard, from racks without a voter first;
///   never so many that the number of voters becomes even. While nobody is there for it, a voter
///   that should go stays, unless its broker is drained but for this vote and all others are there.
/// - Whoever introduces himself learns, so that he can register. Who was decommissioned, or came
///   back with another disk, goes.
MotionGoal metadata_goal(const raft::VoterSet& config, const metadata::Image& image,
                         const metadata::View& view, const std::vector<MetBroker>& met,
                         const MetadataMembersSettings& settings);

}  // namespace millrace::service
