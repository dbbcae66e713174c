// const ClusterPlan plan = plan_cluster(observation, clock.wall());
//
// A MillraceCluster: what is asked for and what is there -> what to do next and what to say. Pure
// and level-based: everything follows from the objects and from what brokers answer, so it does not
// matter how often the operator was ended in between. docs/kubernetes.md is for people; the rules
// are these.
//
// ACTIONS. The shell does them in order, leaves out the rest of a step of which one failed, writes
// the status, then observes and plans anew: at once, or after `requeue_after` if there were none
// but those that only ask. Failures are repeated with back-off. Each action is safe to do twice. At
// most one of them destroys something (deletes a pod or volume, decommissions, lowers replicas),
// except restarts that the brokers permitted together.
//
// MISSING INFORMATION is never a reason to stop, remove or delete: if no broker answers, or nobody
// leads the metadata, only objects are applied, pods added, and pods that serve nobody replaced.
//
// THE ROLL (roll.cc). A pod is stale if its annotation millrace.dev/revision is not the desired
// one, or its rack annotation is not its node's rack. A pod is stuck if it cannot be serving:
// crash-looping, its image cannot be had, no node takes it, failed. A pod is well if it is ready,
// is what the StatefulSet would make, and its broker is alive and recovered. With the template
// applied and taken up by the StatefulSet:
//   R1  A pod with millrace.dev/hold is never touched. All pods are deleted only as they were read,
//       so that a hold that comes late still counts.
//   R2  A stale pod that is stuck, or that is not ready and whose broker has never joined, and
//       whose broker nobody hears, is deleted at once, without a permit, one at a time, if it
//       is still as it was read. So a corrected resource replaces what a wrong one broke. While no
//       broker answers, "has never joined" is known only of a cluster of which no volume was ever
//       marked.
//   R3  While a pod that runs the desired revision is not well, no other pod is restarted. If it
//       fails (stuck, or ended several times) the roll is stopped (Degraded, RollStopped); else it
//       waits, however long that takes.
//   R4  While any other broker is not well (pod or broker away, starting or recovering), none is
//       restarted: the waiting names it. A broker that recovers is never restarted. Pods that no
//       node takes and whose broker has never joined do not count for R3 and R4, nor do those whose
//       broker was decommissioned by somebody else.
//   R5  spec.rollout.pauseSeconds must have passed since the last restarted pod became ready.
//   R6  Candidates are the stale pods, those of one rack first (that with the lowest number), the
//       leader of the metadata last; spec.rollout.atOnce of them at most, one without racks.
//   R7  Candidates whose processes hold permits that count for at least kPermitMargin more are
//       deleted, by uid, all of them together. If none does, permits are asked for, for these very
//       processes; a candidate that is refused waits for the next turn.
//   R8  A broker that is draining, or is to leave, is not restarted: it goes anyhow.
//
// SCALE DOWN (scale.cc). spec.brokers below the replicas of the StatefulSet: brokers from
// spec.brokers on are to leave, and each pass does the first of these that applies:
//   S1  A leaving broker that is active is drained; all of them at once, after the status lists
//       them (status.leaving): so it is known later who began it. A refusal is ScaleDownRefused or
//       DrainBlocked, and nothing else happens to it.
//   S2  Only the highest ordinal goes on from here. While it drains: wait, with its progress. One
//       above it that has lost its pod gets that back, and goes first.
//   S3  Drained: its identity is checked: pod, broker number, directory and volume belong together
//       (broker N is reached at the name of pod N, and its directory is the one that the volume
//       data-CLUSTER-N was marked with while it was well). Otherwise IdentityMismatch or
//       IdentityUnknown, and it stays.
//   S4  It is decommissioned by that directory; the receipt is written on the volume.
//   S5  With the receipt on the volume, and the broker gone from the cluster's view (or never in
//       it): replicas become one less.
//   S6  The pod is gone: with deleteOnScaleDown the volume is deleted against its receipt.
//   S7  A pod whose broker has never joined (unknown to a cluster that has a controller, no
//       directory on its volume, no process running) leaves without a receipt; its volume stays.
//   S8  A held pod stops it.
//   S9  A retired volume whose broker is to stay, below others: it has left, so the claim is
//       deleted against its receipt, then the pod, and a new broker comes in their place.
// BY HAND. A broker that is to stay and that somebody drained or decommissioned with millctl is
// left
//   so (DrainedByHand, DecommissionedByHand): whoever did it may be about to replace its disk.
// CANCEL. spec.brokers raised again: brokers in status.leaving that stay and are draining or
//   drained are kept (CancelDrain); a drain that somebody else began is left alone. A broker stands
//   in status.leaving until it was seen active for kKeptFor: what is seen may be older than what
//   was done. So it is with all that have volumes when a resource is made anew: what the old one's
//   status said is gone, and this one asks for them. One that is decommissioned already has to go
//   first (S5); then its retired volume is deleted against its receipt and it comes back as a new
//   broker (SCALE UP). If its receipt was not written down it is asked for again; no pods are added
//   while it may have left unheard.
// SCALE UP. Always (but see CANCEL): volumes are made, a retired one of the same name is deleted
//   against its receipt first, then replicas are raised. A StatefulSet that is made anew has at
//   least as many replicas as there are volumes that somebody may miss; one that somebody else made
//   smaller gets back what the cluster still knows, to be drained, or all that was not emptied
//   where nobody leads or answers. Retired volumes in between make room.
//
// THE STATEFULSET is made by Create and changed only at the resourceVersion that was read: replicas
//   that were decided on an old picture never reach it.
// READY becomes true when all brokers are ready and caught up, and stays so while brokers are
//   restarted, as long as every partition can be written; a pod that fails ends it.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "operator/plan/action.h"
#include "operator/plan/cluster_view.h"
#include "operator/plan/status.h"
#include "operator/resources/cluster.h"

namespace millrace::plan {

/// A permit must count for this much longer when the pod is deleted.
inline constexpr std::chrono::seconds kPermitMargin{20};
/// What a permit is asked for: the time to stop and to be back.
inline constexpr std::chrono::minutes kPermitLasts{5};
/// How long a broker is seen active until its cancelled drain is forgotten.
inline constexpr std::chrono::seconds kKeptFor{15};
/// A broker that became ready so long ago is known to all the others.
inline constexpr std::chrono::seconds kHeardWithin{15};

/// What is there, as last read. JSON objects are as the API server sent them.
struct ClusterObservation {
  /// The custom resource.
  Json cluster;
  resources::ClusterDefaults defaults;
  /// By kind and name: ServiceAccount, ConfigMap, Service, StatefulSet, PodDisruptionBudget,
  /// NetworkPolicy, PodMonitor with the cluster's label, and any object that has the name of one of
  /// its children.
  std::map<std::string, std::map<std::string, Json>> children;
  /// Pods with the cluster's label, by name.
  std::map<std::string, Json> pods;
  /// Volume claims with the cluster's label, and those named data-CLUSTER-N, by name.
  std::map<std::string, Json> volumes;
  /// Nodes by name, or at least those of the pods. Empty: the operator may not read nodes.
  std::map<std::string, Json> nodes;
  /// The API server knows PodMonitor.
  bool has_pod_monitors = false;
  /// The children above are complete: every list has been read since the operator started. While
  /// false nothing is deleted, and replicas are not changed.
  bool synced = true;
  ClusterView view;
  Answers answers;
};

struct ClusterPlan {
  std::vector<Action> actions;
  /// The whole status, to be merge-patched into the status subresource if `status_changed`.
  Json status;
  bool status_changed = false;
  /// metadata.resourceVersion of the resource that was read. The patch of the status carries it: a
  /// status that follows from an older one would forget who is leaving. A conflict is a failure,
  /// and what is there is looked at again.
  std::string resource_version;
  /// What conditions say in more words, for metrics and logs: one per thing that waits, is refused
  /// or is wrong.
  std::vector<Finding> findings;
  /// To be sent when the actions they stand for were done, or the status was written.
  std::vector<Event> events;
  /// When to look again although nothing changed; absent: when something does.
  std::optional<std::chrono::milliseconds> requeue_after;
};

ClusterPlan plan_cluster(const ClusterObservation& observation, common::Timestamp now);

}  // namespace millrace::plan
