#include "operator/kube/cache.h"

#include <algorithm>
#include <utility>

#include "operator/kube/fields.h"

namespace millrace::kube {
namespace {

std::string index_key(std::string_view space, std::string_view value) {
  // Neither a namespace nor the value of a label may contain a slash.
  std::string key(space);
  key += '/';
  key += value;
  return key;
}

/// The resourceVersion, which leaves the object.
std::string take_version(Json& object) {
  std::string version = text_at(object, {"metadata", "resourceVersion"});
  if (find(object, {"metadata"}) != nullptr) object["metadata"].erase("resourceVersion");
  return version;
}

}  // namespace

Cache::Cache(Projection projection, std::vector<std::string> index_labels)
    : projection_(std::move(projection)), index_labels_(std::move(index_labels)) {
  for (const std::string& label : index_labels_) indexes_[label];
}

Json Cache::parse(const Entry& entry) {
  Json object = Json::parse(entry.text, nullptr, /*allow_exceptions=*/false);
  CHECK(object.is_object(), "the cache holds what it wrote");
  object["metadata"]["resourceVersion"] = entry.resource_version;
  return object;
}

std::optional<Json> Cache::get(const ObjectKey& key) const {
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  const Entry entry = found->second;
  lock.unlock();
  return parse(entry);
}

std::vector<Json> Cache::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Json> objects;
  objects.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) objects.push_back(parse(entry));
  return objects;
}

std::vector<Json> Cache::list(std::string_view space) const {
  const std::lock_guard lock(mutex_);
  std::vector<Json> objects;
  auto at = entries_.lower_bound(ObjectKey{std::string(space), {}});
  for (; at != entries_.end() && at->first.space == space; ++at) {
    objects.push_back(parse(at->second));
  }
  return objects;
}

std::vector<ObjectKey> Cache::keys() const {
  const std::lock_guard lock(mutex_);
  std::vector<ObjectKey> keys;
  keys.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) keys.push_back(key);
  return keys;
}

std::vector<Json> Cache::by_label(std::string_view space, std::string_view label,
                                  std::string_view value) const {
  const std::lock_guard lock(mutex_);
  const auto index = indexes_.find(label);
  CHECK(index != indexes_.end(), "no index of label {}", label);
  std::vector<Json> objects;
  const auto keys = index->second.find(index_key(space, value));
  if (keys == index->second.end()) return objects;
  objects.reserve(keys->second.size());
  for (const ObjectKey& key : keys->second) objects.push_back(parse(entries_.at(key)));
  return objects;
}

std::size_t Cache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::size_t Cache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void Cache::unindex(const ObjectKey& key, const Json& object) {
  for (const std::string& label : index_labels_) {
    const auto value = label_of(object, label);
    if (!value) continue;
    Index& index = indexes_[label];
    const auto keys = index.find(index_key(key.space, *value));
    if (keys == index.end()) continue;
    keys->second.erase(key);
    if (keys->second.empty()) index.erase(keys);
  }
}

void Cache::index(const ObjectKey& key, const Json& object) {
  for (const std::string& label : index_labels_) {
    const auto value = label_of(object, label);
    if (value) indexes_[label][index_key(key.space, *value)].insert(key);
  }
}

void Cache::put(Json object, const ChangeHandler& handler) {
  const ObjectKey key = key_of(object);
  if (key.name.empty()) return;  // no object of an API server
  const std::string uid = text_at(object, {"metadata", "uid"});
  std::string version = text_at(object, {"metadata", "resourceVersion"});
  if (projection_) projection_(object);
  Json& metadata = object["metadata"];
  if (!metadata.is_object()) metadata = Json::object();
  metadata["name"] = key.name;
  if (!key.space.empty()) metadata["namespace"] = key.space;
  if (!uid.empty()) metadata["uid"] = uid;
  take_version(object);
  std::string text = compact(object);
  std::optional<ChangeKind> kind;
  {
    const std::lock_guard lock(mutex_);
    const auto [at, is_new] = entries_.try_emplace(key);
    Entry& entry = at->second;
    if (is_new) {
      kind = ChangeKind::kAdded;
    } else if (entry.text != text) {
      kind = ChangeKind::kModified;
      unindex(key, parse(entry));
    }
    if (kind) index(key, object);
    bytes_ += text.size() - entry.text.size();
    text.shrink_to_fit();
    entry.text = std::move(text);
    entry.resource_version = version;
  }
  if (!kind || !handler) return;
  object["metadata"]["resourceVersion"] = std::move(version);
  handler({*kind, key, object});
}

void Cache::erase(const ObjectKey& key, const ChangeHandler& handler) {
  Json object;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    object = parse(found->second);
    unindex(key, object);
    bytes_ -= found->second.text.size();
    entries_.erase(found);
  }
  if (handler) handler({ChangeKind::kDeleted, key, object});
}

void Cache::retain(const std::set<ObjectKey>& kept, const ChangeHandler& handler) {
  for (const ObjectKey& key : keys()) {
    if (!kept.contains(key)) erase(key, handler);
  }
}

}  // namespace millrace::kube
