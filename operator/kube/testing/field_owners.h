// Server-side apply's bookkeeping: who owns which field.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/kube/api.h"

namespace millrace::kube::testing {

/// From the root of an object to a leaf. Steps begin with what they are: ".name" a member, "=key"
/// an item of a list that merges by key, "~value" a value of a set. A path that ends in an item
/// stands for the item being there.
using FieldPath = std::vector<std::string>;
using FieldSet = std::set<FieldPath>;
/// Manager -> what it owns. A field may have several owners while they agree on its value.
using Owners = std::map<std::string, FieldSet>;

/// The owner of what create, update and patch write.
inline constexpr const char* kUpdateManager = "update";

/// All leaves of what a manager says, without the members that name the object and those that only
/// the server sets.
FieldSet fields_of(const Json& object);

struct Merged {
  Json object;
  Owners owners;
};

/// `manifest` applied to `live` for `manager`. Takes fields of other owners if `take`; else
/// conflict is set to a sentence that names fields and owners, and nothing else has a meaning.
struct ApplyResult {
  Merged merged;
  std::optional<std::string> conflict;
};
ApplyResult apply_fields(const Json& live, const Owners& owners, const Json& manifest,
                         const std::string& manager, bool take);

/// Who owns what after somebody wrote `after` in the place of `before` without applying: what
/// changed is the writer's.
Owners owners_after_update(const Json& before, const Json& after, Owners owners);

}  // namespace millrace::kube::testing
