// const Story story = draw_story(3, random);
//
// What one seed is about: a cluster as its resource first says, what people do to it, and what goes
// wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/operator/operator_process.h"
#include "tests/sim/scenario.h"

namespace millrace::sim {

/// What people do, with kubectl.
enum class Edit : std::uint8_t {
  kScale,
  kImage,
  kSetting,  // one that brokers read when they start
  kDynamicSetting,
  kBadSetting,  // no broker starts with it
  kStorage,
  kRollout,
  kRack,  // of a node
  kHold,
  kPause,
  kDeletePod,
  kDrift,  // a child is changed or deleted
  kMakeTopic,
  kChangeTopic,  // its settings
  kGrowTopic,
  kDeleteTopic,
  kRecreate,  // the cluster is deleted and made anew, and its volumes stay
  kCount,
};

/// What happens to operators, and on their ways.
enum class Mishap : std::uint8_t {
  kEnd,         // kill -9, now
  kEndAtCall,   // before or after one of the next calls
  kStop,        // SIGTERM
  kStandStill,  // long enough to lose the lease, or not
  kCutFromServer,
  kCutFromBrokers,
  kCutWatches,
  kForget,  // the server restarts and remembers nothing that was: watches are too old
  kFlakyServer,
  kFlakyBrokers,
  kCount,
};

struct Story {
  /// Brokers, topics, clients and what goes wrong with machines and networks.
  Scenario scenario;
  /// Machines that there are: as many brokers may be asked for.
  std::int32_t machines = 6;
  std::int32_t operators = 1;
  OperatorSettings settings;
  std::vector<Edit> edits;
  /// Mean times between two.
  common::Duration edit_interval = std::chrono::seconds(5);
  std::vector<Mishap> mishaps;
  common::Duration mishap_interval = std::chrono::seconds(5);
  /// Things go wrong with operators while the cluster is made, too.
  bool hard_birth = false;
  /// People change their minds: how many brokers they want, which topics.
  bool fickle = false;
  std::string text() const;
};

/// Each run has only some of everything: what never happens together would hide each other's bugs.
Story draw_story(std::uint32_t brokers, common::Random& random);

/// From small ones to such as are larger than the cluster's first voters.
std::uint32_t draw_cluster(common::Random& random);

}  // namespace millrace::sim
