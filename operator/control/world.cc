#include "operator/control/world.h"

#include <algorithm>
#include <utility>

namespace millrace::control {

void World::add(const Resource& resource, std::string space, const kube::Cache& cache) {
  parts_.push_back({resource, std::move(space), &cache});
}

const kube::Cache* World::find(const Resource& resource, std::string_view space) const {
  for (const Part& part : parts_) {
    if (part.resource == resource && (part.space.empty() || part.space == space)) return part.cache;
  }
  return nullptr;
}

bool World::watches(const Resource& resource) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const Part& part) { return part.resource == resource; });
}

std::optional<Json> World::get(const Resource& resource, const ObjectKey& key) const {
  const kube::Cache* const cache = find(resource, key.space);
  return cache == nullptr ? std::nullopt : cache->get(key);
}

std::vector<Json> World::labelled(const Resource& resource, const ObjectKey& cluster) const {
  const kube::Cache* const cache = find(resource, cluster.space);
  if (cache == nullptr) return {};
  return cache->by_label(cluster.space, kClusterLabel, cluster.name);
}

std::vector<Json> World::all(const Resource& resource) const {
  std::vector<Json> objects;
  for (const Part& part : parts_) {
    if (!(part.resource == resource)) continue;
    for (Json& object : part.cache->list()) objects.push_back(std::move(object));
  }
  return objects;
}

std::vector<ObjectKey> World::keys(const Resource& resource) const {
  std::vector<ObjectKey> all;
  for (const Part& part : parts_) {
    if (!(part.resource == resource)) continue;
    for (ObjectKey& key : part.cache->keys()) all.push_back(std::move(key));
  }
  return all;
}

std::size_t World::size(const Resource& resource) const {
  std::size_t all = 0;
  for (const Part& part : parts_) {
    if (part.resource == resource) all += part.cache->size();
  }
  return all;
}

}  // namespace millrace::control
