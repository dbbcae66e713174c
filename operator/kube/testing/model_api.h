// ModelApi api;
// api.create(kClusters, cluster); api.lose_answers(1); api.run_controllers();
//
// An API server in memory, for tests and simulation: the rules that reconcilers depend on, and the
// ways in which a real one misbehaves. Deterministic; time moves only by advance().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/random.h"
#include "operator/kube/api.h"

namespace millrace::kube::testing {

/// What goes wrong, in so many of 1000 calls each. All 0: nothing.
struct Faults {
  int refuse = 0;       ///< kUnavailable before anything happened
  int lose_answer = 0;  ///< a write is done, but kTimeout with maybe_done comes back
  int throttle = 0;     ///< kTooManyRequests before anything happened
  int conflict = 0;  ///< a write with a resourceVersion, uid or finalizer finds somebody else came
                     ///< first: the object's resourceVersion moves on before the call
  int expire = 0;    ///< a continue token or a watch's resourceVersion is kGone
  int stale = 0;     ///< a list with resourceVersion "0" shows the past
};

/// What the controllers of a real cluster would do; a test may switch each off.
struct Controllers {
  bool garbage = true;        ///< objects whose owner is gone go too; namespaces empty themselves
  bool stateful_sets = true;  ///< pods and claims of StatefulSets, their status
  bool pods = true;           ///< pods get a node and an address, become Ready; deleted ones go
  bool volumes = true;        ///< claims are bound and grow; released ones go
};

/// One write that changed something, for assertions ("zero writes in steady state", "this claim was
/// deleted only after ...").
struct Written {
  std::string verb;  ///< create, update, apply, patch, delete; those of controllers do not count
  std::string plural;
  ObjectKey key;
  Part part = Part::kObject;
  std::string resource_version;  ///< after it; for a delete: of the deletion
};

/// Thread-safe; simulations use one thread. Rules that it keeps, as the real one does:
///
/// - One resourceVersion for all writes, growing. A write that changes nothing keeps the object's.
/// - uid, creationTimestamp by the server; metadata.generation 1, then +1 when anything but
///   metadata and status changes.
/// - Kinds with a status subresource: writes to the object leave status alone, writes to status
///   leave all else alone.
/// - Scale subresource of StatefulSets (replicas) and MillraceClusters (brokers).
/// - Server-side apply with an owner per leaf. Lists that the real schemas merge by a key
///   (containers, env, volumes, ports, conditions, ownerReferences ...) merge here too, finalizers
///   are a set, all other lists are one leaf. What a manager stops to name it removes if nobody
///   else owns it. Conflicts without force name the owners.
/// - Deletion: with finalizers, or a pod with grace, the object stays with a deletionTimestamp, can
///   no longer gain finalizers, and goes with the last one. Foreground propagation is a finalizer.
///   Names are free again afterwards and the new object has another uid.
/// - Creating in a namespace that is terminating is kForbidden. Namespaces need not be created.
/// - StatefulSets and claims: only what the real server lets change changes (kInvalid, kForbidden).
/// - Watches see every change once, in order; a few thousand writes are remembered, older is kGone.
class ModelApi : public Api {
 public:
  explicit ModelApi(std::uint64_t seed = 1);
  ~ModelApi() override;

  ApiResult<Json> get(const Resource& resource, const ObjectKey& key,
                      Part part = Part::kObject) override;
  ApiResult<ListPage> list(const Resource& resource, const ListOptions& options) override;
  /// Delivers what there is, then waits for more until stopped or `options.duration` of the model's
  /// time has passed; in a simulation use changes_since() instead.
  ApiResult<void> watch(const Resource& resource, const WatchOptions& options,
                        const WatchSink& sink, std::stop_token stop) override;
  ApiResult<Json> create(const Resource& resource, const Json& object) override;
  ApiResult<Json> update(const Resource& resource, const Json& object,
                         Part part = Part::kObject) override;
  ApiResult<Json> apply(const Resource& resource, const Json& manifest,
                        const ApplyOptions& options = {}) override;
  ApiResult<Json> patch(const Resource& resource, const ObjectKey& key, const Json& patch,
                        PatchKind kind = PatchKind::kMerge, Part part = Part::kObject) override;
  ApiResult<void> remove(const Resource& resource, const ObjectKey& key,
                         const DeleteOptions& options = {}) override;

  // ---- what a real server does not offer -----------------------------------------------------

  /// Random faults from now on, drawn from the seed.
  void set_faults(Faults faults);
  /// The next `calls` writes are done but their answers are lost.
  void lose_answers(int calls);
  /// The next `calls` calls fail before anything happens.
  void fail_calls(int calls, Cause cause);
  /// Calls come here first; an error returned is the answer and nothing happens. For faults at one
  /// exact place. `verb` as in Written, and get, list, watch. It must not call the model itself.
  using Gate = std::function<std::optional<ApiError>(
      const std::string& verb, const Resource& resource, const ObjectKey& key)>;
  void set_gate(Gate gate);
  /// Ends all watches as a restart of the server does, and forgets their history if `forget`.
  void restart(bool forget);

  /// Events after `resource_version`, in order, without blocking; kGone as a watch would. For
  /// caches that lag: apply as many as the simulation likes, later.
  ApiResult<std::vector<WatchEvent>> changes_since(const Resource& resource,
                                                   const std::string& resource_version);
  /// The same as one sees who watches with these options.
  ApiResult<std::vector<WatchEvent>> changes_since(const Resource& resource,
                                                   const WatchOptions& options);
  std::string resource_version() const;
  /// Of the last write to an object of one of these kinds: while it stays they do, too.
  std::string resource_version(std::span<const Resource> kinds) const;

  void set_controllers(Controllers controllers);
  /// One round of the controllers: each does what it would do next. True if anything changed.
  bool step_controllers();
  /// Rounds until nothing changes (at most 1000).
  void run_controllers();
  /// Time for graces, creationTimestamps and watches.
  void advance(common::Duration step);
  common::Timestamp now() const;

  /// A pod that Ready does not come to, or that falls down: `ready` and a waiting reason such as
  /// "CrashLoopBackOff" in its status from now on; nullopt makes it healthy again. By pod name, and
  /// it outlives the pod. A predicate over the pod's spec can do the same for an image.
  void break_pod(const ObjectKey& pod, std::optional<std::string> reason);
  void break_pods(std::function<std::optional<std::string>(const Json& pod)> reason_of);

  /// Every write that changed something, since the start or the last clear_writes().
  std::vector<Written> writes() const;
  void clear_writes();
  /// Number of calls made by verb ("get", "list", "apply", ...).
  std::uint64_t calls(const std::string& verb) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace::kube::testing
