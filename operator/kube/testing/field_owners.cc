#include "operator/kube/testing/field_owners.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "operator/kube/fields.h"

namespace millrace::kube::testing {
namespace {

/// The members that make an item of a list the same item. Lists that are not here are one leaf.
const std::map<std::string, std::vector<std::string>, std::less<>>& list_keys() {
  static const std::map<std::string, std::vector<std::string>, std::less<>> keys{
      {"containers", {"name"}},
      {"initContainers", {"name"}},
      {"volumes", {"name"}},
      {"env", {"name"}},
      {"imagePullSecrets", {"name"}},
      {"volumeMounts", {"mountPath"}},
      {"conditions", {"type"}},
      {"ownerReferences", {"uid"}},
      {"hostAliases", {"ip"}},
      {"topologySpreadConstraints", {"topologyKey", "whenUnsatisfiable"}},
      {"ports", {"containerPort", "port", "protocol"}},
  };
  return keys;
}

bool is_set(std::string_view member, const Json& value) {
  return member == "finalizers" && value.is_array();
}

std::string item_key(const std::vector<std::string>& keys, const Json& item) {
  std::string text;
  for (const std::string& key : keys) {
    const Json* value = find(item, {key});
    if (value != nullptr) {
      text += fmt::format("{}={},", key, compact(*value));
    } else if (key == "protocol") {
      text += "protocol=\"TCP\",";
    }
  }
  return text;
}

/// The keys by which this list merges; nullptr: it is one leaf.
const std::vector<std::string>* keys_of(std::string_view member, const Json& value) {
  if (!value.is_array() || value.empty()) return nullptr;
  const auto found = list_keys().find(member);
  if (found == list_keys().end()) return nullptr;
  const bool all = std::all_of(value.begin(), value.end(), [&](const Json& item) {
    return item.is_object() && !item_key(found->second, item).empty();
  });
  return all ? &found->second : nullptr;
}

bool is_servers(const FieldPath& path) {
  if (path.size() == 1) return path[0] == ".apiVersion" || path[0] == ".kind";
  if (path.size() < 2 || path[0] != ".metadata") return false;
  static const std::set<std::string, std::less<>> names{
      ".name",         ".namespace",         ".uid",
      ".generation",   ".creationTimestamp", ".resourceVersion",
      ".selfLink",     ".deletionTimestamp", ".deletionGracePeriodSeconds",
      ".managedFields"};
  return names.contains(path[1]);
}

void collect(const Json& value, std::string_view member, FieldPath& path, FieldSet& fields) {
  if (is_servers(path) || value.is_null()) return;
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, inner] : value.items()) {
      path.push_back("." + name);
      collect(inner, name, path, fields);
      path.pop_back();
    }
    return;
  }
  const auto* keys = keys_of(member, value);
  if (keys == nullptr && !is_set(member, value)) {
    if (!path.empty()) fields.insert(path);
    return;
  }
  for (const Json& item : value) {
    path.push_back(keys != nullptr ? "=" + item_key(*keys, item) : "~" + item.get<std::string>());
    fields.insert(path);
    if (keys != nullptr) {
      for (const auto& [name, inner] : item.items()) {
        path.push_back("." + name);
        collect(inner, name, path, fields);
        path.pop_back();
      }
    }
    path.pop_back();
  }
}

/// The value at a path; nullptr if there is none.
const Json* value_at(const Json& root, const FieldPath& path) {
  const Json* at = &root;
  std::string_view member;
  for (const std::string& step : path) {
    if (step[0] == '.') {
      if (!at->is_object()) return nullptr;
      const auto found = at->find(step.substr(1));
      if (found == at->end()) return nullptr;
      member = std::string_view(step).substr(1);
      at = &*found;
      continue;
    }
    if (!at->is_array()) return nullptr;
    const auto* keys = step[0] == '=' ? keys_of(member, *at) : nullptr;
    const auto found = std::find_if(at->begin(), at->end(), [&](const Json& item) {
      return keys != nullptr ? item_key(*keys, item) == step.substr(1)
                             : item.is_string() && item == step.substr(1);
    });
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

/// Is what stands at the path the same in both? An item or a set's value: is it in both?
bool same_at(const Json& a, const Json& b, const FieldPath& path) {
  const Json* left = value_at(a, path);
  const Json* right = value_at(b, path);
  if (left == nullptr || right == nullptr) return left == right;
  return path.back()[0] != '.' || *left == *right;
}

void erase_at(Json& root, const FieldPath& path) {
  FieldPath parent(path.begin(), path.end() - 1);
  Json* at = const_cast<Json*>(value_at(root, parent));
  const Json* value = value_at(root, path);
  if (at == nullptr || value == nullptr) return;
  if (path.back()[0] == '.') {
    const std::string name = path.back().substr(1);
    // What tells an item from others stays as long as the item does.
    if (!parent.empty() && parent.back()[0] == '=' &&
        parent.back().find(name + "=") != std::string::npos) {
      return;
    }
    at->erase(name);
  } else {
    at->erase(static_cast<std::size_t>(value - &(*at)[0]));
  }
  // An object or list that only ever held what is gone goes too.
  if (at->empty() && !parent.empty() && parent.back()[0] == '.') erase_at(root, parent);
}

void merge(Json& live, const Json& said, std::string_view member) {
  if (said.is_object()) {
    if (!live.is_object()) live = Json::object();
    for (const auto& [name, inner] : said.items()) {
      if (!inner.is_null()) merge(live[name], inner, name);
    }
    return;
  }
  const auto* keys = keys_of(member, said);
  if (keys == nullptr && !is_set(member, said)) {
    live = said;
    return;
  }
  if (!live.is_array()) live = Json::array();
  for (const Json& item : said) {
    const auto found = std::find_if(live.begin(), live.end(), [&](const Json& other) {
      return keys == nullptr ? other == item
                             : other.is_object() && item_key(*keys, other) == item_key(*keys, item);
    });
    if (found == live.end()) {
      live.push_back(item);
    } else if (keys != nullptr) {
      merge(*found, item, {});
    }
  }
}

bool begins_with(const FieldPath& path, const FieldPath& prefix) {
  return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

bool owned_by_any(const Owners& owners, const FieldPath& path) {
  return std::any_of(owners.begin(), owners.end(), [&](const auto& owner) {
    return std::any_of(owner.second.begin(), owner.second.end(),
                       [&](const FieldPath& other) { return begins_with(other, path); });
  });
}

std::string text_of(const FieldPath& path) {
  std::string text;
  for (const std::string& step : path) {
    text += step[0] == '.' ? step : fmt::format("[{}]", step.substr(1));
  }
  return text;
}

}  // namespace

FieldSet fields_of(const Json& object) {
  FieldSet fields;
  FieldPath path;
  collect(object, {}, path, fields);
  return fields;
}

ApplyResult apply_fields(const Json& live, const Owners& owners, const Json& manifest,
                         const std::string& manager, bool take) {
  ApplyResult result{{live, owners}, std::nullopt};
  const FieldSet said = fields_of(manifest);
  std::vector<std::string> conflicts;
  for (auto& [other, fields] : result.merged.owners) {
    if (other == manager) continue;
    for (const FieldPath& path : said) {
      if (!fields.contains(path) || same_at(live, manifest, path)) continue;
      conflicts.push_back(fmt::format("{} (owned by \"{}\")", text_of(path), other));
      fields.erase(path);
    }
  }
  if (!conflicts.empty() && !take) {
    result.conflict = fmt::format("Apply failed with {} conflict(s): {}", conflicts.size(),
                                  fmt::join(conflicts, ", "));
    return result;
  }
  const FieldSet before = std::exchange(result.merged.owners[manager], said);
  // An item comes before its members, and goes whole once nobody owns anything of it.
  for (const FieldPath& path : before) {
    if (!said.contains(path) && !owned_by_any(result.merged.owners, path)) {
      erase_at(result.merged.object, path);
    }
  }
  merge(result.merged.object, manifest, {});
  return result;
}

Owners owners_after_update(const Json& before, const Json& after, Owners owners) {
  const FieldSet now = fields_of(after);
  for (auto& [manager, fields] : owners) {
    std::erase_if(fields, [&](const FieldPath& path) { return !same_at(before, after, path); });
  }
  for (const FieldPath& path : now) {
    if (!same_at(before, after, path)) owners[kUpdateManager].insert(path);
  }
  std::erase_if(owners, [](const auto& owner) { return owner.second.empty(); });
  return owners;
}

}  // namespace millrace::kube::testing
