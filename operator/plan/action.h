// for (const Action& action : plan.actions) if (!failed.contains(action.step)) act(action);
//
// What a plan wants done. The shell acts and decides nothing.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "operator/plan/reasons.h"

namespace millrace::plan {

using Json = nlohmann::json;

/// What actions belong together: when one fails the shell leaves out the rest of its step, and goes
/// on with the other steps. So a volume that cannot grow holds up no new setting.
enum class Step : std::uint8_t {
  /// ServiceAccount, PodDisruptionBudget, NetworkPolicy, PodMonitor.
  kSurroundings,
  /// Services.
  kServices,
  /// ConfigMap, then StatefulSet, and new volumes before both.
  kBrokers,
  /// Volumes that are there: size, labels, owner.
  kVolumes,
  /// Which directory is on which volume.
  kMarks,
  /// ConfigMaps that tell brokers their racks and outside addresses.
  kPlaces,
  /// Settings that change while brokers run.
  kConfig,
  /// Permits and restarts.
  kRoll,
  /// Drain, decommission, and what follows.
  kScaleDown,
  /// Of a topic: its finalizer, and what is done to the topic.
  kTopic,
};
std::string_view step_name(Step step);

/// An object of the API server.
struct ObjectRef {
  /// "v1", "apps/v1", "millrace.dev/v1alpha1" ...
  std::string api_version;
  std::string kind;
  std::string space;
  std::string name;
  auto operator<=>(const ObjectRef&) const = default;
};

/// Makes the object, which must not be there: that it is (a cache was behind) fails the action.
struct Create {
  ObjectRef target;
  Json object;
};
/// Server-side apply of `object`, by force: other managers' fields stay, ours become ours. Where
/// `object` has a metadata.resourceVersion it must still be the object's: a conflict fails the
/// action, and what is there is looked at again.
struct Apply {
  ObjectRef target;
  Json object;
};
/// JSON merge patch of metadata (annotations, finalizers). Where `resource_version` is not empty it
/// must still be the object's (put it into the patch): the patch replaces a list.
struct Patch {
  ObjectRef target;
  Json patch;
  std::string uid;
  std::string resource_version;
};
/// Deletes the object if it still has this uid; gone already counts as done. Where
/// `resource_version` is not empty it must also be as it was read: that it is not fails the action.
/// Pods go with their own grace period.
struct Delete {
  ObjectRef target;
  std::string uid;
  std::string resource_version = {};
};
/// AcquireRestartPermit for this process. Not granted is no failure of the action, but is to be
/// kept as an Answer.
struct AcquirePermit {
  std::int32_t broker = -1;
  std::string incarnation;
  std::int64_t lasts_ms = 0;
};
struct Drain {
  std::int32_t broker = -1;
};
struct CancelDrain {
  std::int32_t broker = -1;
};
/// DecommissionBroker of this directory, then a merge patch that writes the receipt that was
/// answered on the volume (annotation millrace.dev/receipt, resources::to_text). The action is done
/// when both are; repeated, it gives the same receipt. The receipt must name this broker and
/// directory, or the shell fails the action and writes nothing.
struct Decommission {
  std::int32_t broker = -1;
  std::string directory_id;
  ObjectRef volume;
  std::string volume_uid;
};
/// AlterConfigs of the defaults of all brokers, of one setting: so that one that is refused keeps
/// no other from being set.
struct AlterBrokerConfig {
  std::string name;
  /// Absent: back to its default.
  std::optional<std::string> value;
};
struct CreateTopic {
  std::string topic;
  std::int32_t partitions = 0;
  std::int32_t replication_factor = 0;
  std::map<std::string, std::string> config;
};
struct AddPartitions {
  std::string topic;
  /// The new total.
  std::int32_t partitions = 0;
};
struct AlterTopicConfigs {
  std::string topic;
  std::map<std::string, std::string> set;
  std::vector<std::string> remove;
};
/// DeleteTopic by id: a topic that was made later under the same name is left alone. Gone already
/// counts as done.
struct DeleteTopic {
  std::string topic;
  std::string topic_id;
};

using Deed =
    std::variant<Create, Apply, Patch, Delete, AcquirePermit, Drain, CancelDrain, Decommission,
                 AlterBrokerConfig, CreateTopic, AddPartitions, AlterTopicConfigs, DeleteTopic>;

struct Action {
  Step step = Step::kBrokers;
  Reason reason = Reason::kAllWell;
  /// What is done and why, for the log and for people; no full stop.
  std::string note;
  Deed deed;
  /// Only asks, once more: after a pass of nothing but such actions the shell waits for
  /// requeue_after, except that a permit that was granted is used at once.
  bool asks = false;
};

/// Names what an action is about, the same one each time that it is planned: "Drain/3",
/// "Apply/PersistentVolumeClaim/data-events-0", "AcquirePermit/2". The key of Answers.
std::string key(const Action& action);
/// "Drain", "Apply" ... for logs and metrics.
std::string_view verb(const Action& action);

/// What was said to an action the last time, when that was not yes. The shell keeps them in memory,
/// by key, until the same action succeeds; it may forget them: then it is asked again.
struct Answer {
  enum class Kind : std::uint8_t {
    /// Understood and denied: Invalid, Forbidden, FAILED_PRECONDITION, INVALID_ARGUMENT, a permit
    /// that is not granted, a drain that has blockers.
    kRefused,
    /// Unavailable, timed out, conflict: nothing is known about it.
    kFailed,
  };
  Kind kind = Kind::kFailed;
  /// The server's or broker's own sentence, with what blocks.
  std::string sentence;
};
using Answers = std::map<std::string, Answer>;

}  // namespace millrace::plan
