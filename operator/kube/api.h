// ApiResult<Json> pod = api.get(kPods, {"shop", "events-0"});
// if (!pod.ok() && pod.error().cause == Cause::kNotFound) ...
//
// The Kubernetes API as one interface: the HTTP client (kube/client.h) in production, a model of an
// API server (kube/testing/model_api.h) in tests and simulation.
#pragma once

#include <compare>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "operator/kube/error.h"

namespace millrace::kube {

/// Objects are plain JSON. Members are sorted, so equal objects have equal text.
using Json = nlohmann::json;

/// The one field manager of everything this operator applies.
inline constexpr std::string_view kFieldManager = "millrace-operator";

/// A kind of object and where the server keeps it. Those we use: kube/kinds.h. The text must
/// outlive every use: literals.
struct Resource {
  std::string_view group;  ///< empty: the core group
  std::string_view version;
  std::string_view kind;    ///< "StatefulSet"
  std::string_view plural;  ///< "statefulsets"
  bool namespaced = true;

  /// "apps/v1", "v1": what stands in an object's apiVersion.
  std::string api_version() const;
  bool operator==(const Resource& other) const {
    return group == other.group && plural == other.plural;
  }
};

/// Which object of a kind. `space` is the namespace, empty for kinds that have none.
struct ObjectKey {
  std::string space;
  std::string name;

  /// "shop/events", or "events" without a namespace.
  std::string text() const;
  auto operator<=>(const ObjectKey&) const = default;
};

/// The key of an object as the server sends it; empty texts where it has no metadata.
ObjectKey key_of(const Json& object);

struct ListOptions {
  std::string space;           ///< empty: all namespaces
  std::string label_selector;  ///< "millrace.dev/cluster=events"; empty: all
  std::string field_selector;
  /// At most so many objects per page; the server may send fewer, never more. 0: all in one.
  int limit = 200;
  /// Empty: as new as the last write (a quorum read). "0": whatever the server has at hand, which
  /// may be older than what was seen before.
  std::string resource_version;
  /// From the page before; then all other options must be the same.
  std::string continue_token;
};

struct ListPage {
  /// metadata.managedFields is left out; each has apiVersion and kind, as if read alone.
  std::vector<Json> items;
  /// Of the list: where a watch begins that misses nothing.
  std::string resource_version;
  /// Empty: this was the last page.
  std::string continue_token;
};

enum class ChangeKind { kAdded, kModified, kDeleted, kBookmark };

/// One line of a watch. kBookmark: only metadata.resourceVersion of the object has a meaning.
/// kDeleted: the object as it last was, with the resourceVersion of its deletion.
struct WatchEvent {
  ChangeKind kind = ChangeKind::kAdded;
  Json object;
};

struct WatchOptions {
  std::string space;
  std::string label_selector;
  std::string field_selector;
  /// Changes after this one. Required: from a list or from the last event.
  std::string resource_version;
  /// The server ends the stream itself after so long. At least a second.
  common::Duration duration = std::chrono::minutes(5);
};

/// Takes an event; false ends the watch, which then returns success. Called on the thread that
/// called watch().
using WatchSink = std::function<bool(WatchEvent&&)>;

/// What of an object is read or written: the object itself or one of its subresources, each with a
/// permission of its own.
enum class Part { kObject, kStatus, kScale };

enum class PatchKind {
  kMerge,  ///< RFC 7386: members replace, null removes, lists are replaced whole
  kJson,   ///< RFC 6902: a list of operations; "test" makes it conditional (kInvalid if it fails)
};

/// What happens when another field manager owns a field that is applied with another value.
enum class Ownership {
  kTake,     ///< force: it becomes ours
  kRespect,  ///< kConflict, which names field and owner, and nothing is changed
};

struct ApplyOptions {
  Ownership ownership = Ownership::kTake;
  Part part = Part::kObject;
  std::string_view field_manager = kFieldManager;
};

/// What becomes of the objects that the deleted one owns.
enum class Propagation { kBackground, kForeground, kOrphan };

struct DeleteOptions {
  /// Preconditions: kConflict if the object is another one, or was written since. For anything that
  /// cannot be undone give at least the uid.
  std::optional<std::string> uid;
  std::optional<std::string> resource_version;
  Propagation propagation = Propagation::kBackground;
  /// Pods only. Empty: what the pod says.
  std::optional<int> grace_seconds;
};

/// One API server. Every call blocks until there is an answer or its time is up (some seconds per
/// try, see the implementation), and may be made from any thread. Objects in answers carry
/// apiVersion and kind and no metadata.managedFields.
///
/// What may be repeated without harm the implementation repeats by itself, with back-off, a few
/// times: reads; apply; patches and deletes only when the request certainly did not get there, or
/// the server said that it did not look at it (429). A create or update whose answer is lost comes
/// back with `maybe_done`.
class Api {
 public:
  virtual ~Api() = default;

  /// kNotFound, or any error of the way.
  virtual ApiResult<Json> get(const Resource& resource, const ObjectKey& key,
                              Part part = Part::kObject) = 0;

  /// One page. Whoever wants all of them calls list_all(). kGone: the continue token has expired.
  virtual ApiResult<ListPage> list(const Resource& resource, const ListOptions& options) = 0;

  /// Runs until the server ends the stream (success), the sink had enough (success), the stop token
  /// is set (kCancelled), or something breaks. kGone: the resourceVersion is too old; list again.
  /// kTimeout: the stream was silent for longer than bookmarks allow. After any other end: resume
  /// from the last event's resourceVersion. Bookmarks come about once a minute.
  virtual ApiResult<void> watch(const Resource& resource, const WatchOptions& options,
                                const WatchSink& sink, std::stop_token stop) = 0;

  /// The object's metadata gives name and namespace. kAlreadyExists, kInvalid, kForbidden.
  virtual ApiResult<Json> create(const Resource& resource, const Json& object) = 0;

  /// Replaces the whole object, on the condition that its metadata.resourceVersion, which must be
  /// there, is the stored one: kConflict if not. For records that several write, such as Leases.
  virtual ApiResult<Json> update(const Resource& resource, const Json& object,
                                 Part part = Part::kObject) = 0;

  /// Server-side apply: creates the object, or makes the fields of `manifest` true and removes
  /// those this field manager applied before and names no more. Fields of others stay as they are.
  /// `manifest` has apiVersion, kind, metadata.name and metadata.namespace, and no managedFields.
  virtual ApiResult<Json> apply(const Resource& resource, const Json& manifest,
                                const ApplyOptions& options = {}) = 0;

  /// A patch with metadata.resourceVersion in it is conditional on that version (kConflict).
  virtual ApiResult<Json> patch(const Resource& resource, const ObjectKey& key, const Json& patch,
                                PatchKind kind = PatchKind::kMerge, Part part = Part::kObject) = 0;

  /// Success: the object is gone, or has a deletionTimestamp and waits for its finalizers, its
  /// grace period or what it owns. kNotFound: it was gone before.
  virtual ApiResult<void> remove(const Resource& resource, const ObjectKey& key,
                                 const DeleteOptions& options = {}) = 0;
};

/// All pages of a list, each item to `sink`; returns the resourceVersion to watch from. If the
/// continue token expires in the middle, starts over from the first page, at most `kListTries`
/// times, and calls `restart` before it does: what was taken so far may be gone meanwhile.
inline constexpr int kListTries = 3;
ApiResult<std::string> list_all(Api& api, const Resource& resource, ListOptions options,
                                const std::function<void(Json&&)>& sink,
                                const std::function<void()>& restart);

}  // namespace millrace::kube
