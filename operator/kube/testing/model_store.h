// The objects of a modelled API server and their history.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/kube/api.h"
#include "operator/kube/testing/field_owners.h"

namespace millrace::kube::testing {

/// One change of one object.
struct Revision {
  std::uint64_t version = 0;
  std::string kind;  // as kind_of()
  ObjectKey key;
  std::optional<Json> before;
  std::optional<Json> after;
};

/// Rules about one object at a time. No faults, no controllers, no locks.
class ModelStore {
 public:
  struct Object {
    Json json;
    Owners owners;
  };
  using Objects = std::map<ObjectKey, Object>;

  static std::string kind_of(const Resource& resource);
  static bool has_status(const Resource& resource);

  const Object* find(const Resource& resource, const ObjectKey& key) const;
  const Objects& all(const Resource& resource) const;
  /// The kinds of which there ever was an object.
  const std::map<std::string, Resource>& kinds() const { return kinds_; }

  /// Puts a new object or a changed one in its place: metadata of the server, status apart, limits
  /// on what may change, generation, finalizers. `next` for Part::kStatus: only its status counts.
  ApiResult<Json> write(const Resource& resource, const ObjectKey& key, Json next, Owners owners,
                        Part part);
  /// Marks for deletion, or deletes when nothing holds the object. `grace_over`: a pod goes at
  /// once. `foreground`: the object waits for what it owns.
  void remove(const Resource& resource, const ObjectKey& key, bool grace_over, bool foreground);
  /// Takes the object away whatever holds it.
  void erase(const Resource& resource, const ObjectKey& key);

  std::uint64_t version() const { return version_; }
  /// Of the last write to an object of this kind.
  std::uint64_t version_of(const Resource& resource) const;
  common::Timestamp now() const { return now_; }
  void advance(common::Duration step);

  const std::deque<Revision>& history() const { return history_; }
  /// Changes up to and with this one are no longer in the history.
  std::uint64_t floor() const { return floor_; }
  void forget_history();
  /// The objects of a kind as they were after revision `version`. Requires version >= floor().
  std::map<ObjectKey, Json> as_of(const Resource& resource, std::uint64_t version) const;

 private:
  ApiResult<void> check(const Resource& resource, const Json* before, const Json& next) const;
  void set_metadata(const Resource& resource, const Json* before, Json& next);
  void allocate(const Resource& resource, Json& next);
  Json commit(const Resource& resource, const ObjectKey& key, Json next, Owners owners);
  void record(Revision revision);

  std::map<std::string, Objects> objects_;
  std::map<std::string, Resource> kinds_;
  std::map<std::string, std::uint64_t> versions_;  // by kind
  std::deque<Revision> history_;
  std::uint64_t floor_ = 0;
  std::uint64_t version_ = 1000;
  std::uint64_t uids_ = 0;
  int node_ports_ = 30000;
  common::Timestamp now_{1'790'000'000'000};
};

/// A refusal in the words of the server's Status.
ApiError refusal(Cause cause, std::string detail);

}  // namespace millrace::kube::testing
