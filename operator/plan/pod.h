// const Pod pod = read_pod("events", object, now);
//
// A pod of a cluster as the plan needs it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "operator/plan/action.h"
#include "operator/plan/reasons.h"

namespace millrace::plan {

struct Pod {
  std::int32_t ordinal = -1;
  std::string name;
  std::string uid;
  std::string resource_version;
  /// Empty: not placed yet.
  std::string node;
  std::string host_ip;
  /// millrace.dev/revision, the image and the settings file that it runs.
  std::string revision;
  std::string image;
  std::string settings;
  bool held = false;
  bool deleting = false;
  bool ready = false;
  /// Since when it is ready.
  std::optional<common::Timestamp> ready_since;
  /// A process of the broker runs in it now.
  bool running = false;
  /// Nothing can run in it, and it does not come right by itself: one of kPodCrashLooping,
  /// kImagePullFailed, kPodUnschedulable, kPodBroken.
  std::optional<Reason> stuck;
  /// As `stuck`, but also while the process is up for a moment between two ends.
  std::optional<Reason> failing;
  /// What Kubernetes says about `failing`.
  std::string trouble;
};

/// nullopt: no pod of the cluster's StatefulSet. `object` is as the API server sent it.
std::optional<Pod> read_pod(std::string_view cluster, const Json& object, common::Timestamp now);

/// Ended processes after which a pod counts as one that fails.
inline constexpr std::int64_t kRestartsMax = 2;
/// A process that is up for so long, after others have ended, is trusted again.
inline constexpr std::chrono::seconds kTrustedAfter{60};
/// A pod that no node takes for so long is a problem; before, volumes and nodes may just be on
/// their way.
inline constexpr std::chrono::seconds kPlacedWithin{60};

}  // namespace millrace::plan
