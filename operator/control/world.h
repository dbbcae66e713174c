// world.labelled(kube::kPods, key) -> the pods of a cluster, as last heard.
//
// Everything the operator watches, whichever namespaces it was told to watch.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/cache.h"

namespace millrace::control {

using kube::Json;
using kube::ObjectKey;
using kube::Resource;

/// Label by which children are found: informers of children must index it.
inline constexpr std::string_view kClusterLabel = "millrace.dev/cluster";

/// Caches by kind and namespace. Filled before anybody reads; then thread-safe.
class World {
 public:
  /// `space` empty: the cache has all namespaces. `cache` must outlive this.
  void add(const Resource& resource, std::string space, const kube::Cache& cache);
  /// True as soon as all caches hold what was there when the operator started.
  void on_synced(std::function<bool()> synced) { synced_ = std::move(synced); }

  bool synced() const { return synced_ && synced_(); }
  /// Whether objects of this kind are watched at all.
  bool watches(const Resource& resource) const;
  std::optional<Json> get(const Resource& resource, const ObjectKey& key) const;
  /// Objects of a cluster's namespace that carry its label.
  std::vector<Json> labelled(const Resource& resource, const ObjectKey& cluster) const;
  std::vector<Json> all(const Resource& resource) const;
  std::vector<ObjectKey> keys(const Resource& resource) const;
  std::size_t size(const Resource& resource) const;

 private:
  struct Part {
    Resource resource;
    std::string space;
    const kube::Cache* cache;
  };
  const kube::Cache* find(const Resource& resource, std::string_view space) const;

  std::vector<Part> parts_;
  std::function<bool()> synced_;
};

}  // namespace millrace::control
