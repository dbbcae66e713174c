#include "operator/control/expectations.h"

#include <charconv>
#include <cstdint>
#include <optional>

#include "operator/kube/fields.h"

namespace millrace::control {
namespace {

/// Versions grow, and are numbers on every server that there is; where they are not, only an equal
/// one counts.
bool at_least(const std::string& heard, const std::string& written) {
  if (heard == written) return true;
  const auto number = [](const std::string& text) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, value);
    if (problem != std::errc{} || stop != end) return std::nullopt;
    return value;
  };
  const auto a = number(heard);
  const auto b = number(written);
  return a && b && *a >= *b;
}

}  // namespace

void Expectations::wrote(const World& world, const Resource& resource, const Json& object,
                         common::Instant now) {
  if (!world.watches(resource)) return;
  expected_.insert({kube::key_of(object),
                    {resource, "", kube::text_at(object, {"metadata", "resourceVersion"}), now}});
}

void Expectations::deleted(const World& world, const Resource& resource, const ObjectKey& key,
                           const std::string& uid, common::Instant now) {
  if (!world.watches(resource)) return;
  expected_.insert({key, {resource, uid, "", now}});
}

bool Expectations::is_met(const World& world, const ObjectKey& key, const Expected& expected) {
  const auto object = world.get(expected.resource, key);
  if (!expected.uid.empty()) {
    return !object || kube::text_at(*object, {"metadata", "uid"}) != expected.uid ||
           kube::find(*object, {"metadata", "deletionTimestamp"}) != nullptr;
  }
  return object && at_least(kube::text_at(*object, {"metadata", "resourceVersion"}),
                            expected.resource_version);
}

bool Expectations::met(const World& world, common::Instant now) {
  std::erase_if(expected_, [&](const auto& entry) {
    return now - entry.second.since >= kPatience || is_met(world, entry.first, entry.second);
  });
  return expected_.empty();
}

}  // namespace millrace::control
