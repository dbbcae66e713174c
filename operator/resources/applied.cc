// Whether an object is as we applied it.
#include <algorithm>
#include <array>
#include <string>

#include "operator/resources/fields.h"
#include "operator/resources/hash.h"
#include "operator/resources/manifests.h"
#include "operator/resources/names.h"
#include "operator/resources/quantity.h"

namespace millrace::resources {
namespace {

bool covers(const Json& desired, const Json& observed, bool amounts);

/// The key by which Kubernetes tells elements of a list apart, if they have one.
std::string_view element_key(const Json& element) {
  constexpr std::array<std::string_view, 5> kKeys = {"name", "mountPath", "uid", "topologyKey",
                                                     "path"};
  if (!element.is_object()) return {};
  for (const std::string_view key : kKeys) {
    if (element.contains(std::string(key))) return key;
  }
  return {};
}

bool covers_list(const Json& desired, const Json& observed, bool amounts) {
  for (std::size_t i = 0; i < desired.size(); ++i) {
    const std::string_view key = element_key(desired[i]);
    if (key.empty()) {
      // Replaced as a whole: what somebody added is a difference too.
      if (desired.size() != observed.size() || !covers(desired[i], observed[i], amounts)) {
        return false;
      }
      continue;
    }
    const auto found = std::find_if(observed.begin(), observed.end(), [&](const Json& element) {
      return at(element, key) == at(desired[i], key);
    });
    if (found == observed.end() || !covers(desired[i], *found, amounts)) return false;
  }
  return true;
}

bool covers(const Json& desired, const Json& observed, bool amounts) {
  if (desired.is_object()) {
    if (!observed.is_object()) return false;
    return std::all_of(desired.items().begin(), desired.items().end(), [&](const auto& member) {
      const bool inside = member.key() == "requests" || member.key() == "limits";
      return covers(member.value(), at(observed, member.key()), amounts || inside);
    });
  }
  if (desired.is_array()) {
    return observed.is_array() && covers_list(desired, observed, amounts);
  }
  if (desired == observed) return true;
  // The API server writes "1000m" as "1".
  const auto wanted = scalar_text(desired);
  const auto there = scalar_text(observed);
  if (!amounts || !wanted || !there) return false;
  const auto amount = quantity_milli(*wanted);
  return amount && amount == quantity_milli(*there);
}

}  // namespace

Json stamped(Json object) {
  const std::string hash = hash_of(object.dump(-1, ' ', false, Json::error_handler_t::replace));
  object["metadata"]["annotations"][std::string(kAppliedAnnotation)] = hash;
  return object;
}

bool is_applied(const Json& desired, const Json& observed) {
  return covers(desired, observed, false);
}

}  // namespace millrace::resources
