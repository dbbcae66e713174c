// plan.status is the JSON of the status subresource; write it if plan.status_changed.
//
// What a plan says: conditions, events, findings. Times in it change only when its meaning does, so
// that nothing is written while nothing happens.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "operator/plan/reasons.h"

namespace millrace::plan {

using Json = nlohmann::json;

/// Why something is as it is: a reason, what it is about, and the rest of the sentence.
struct Finding {
  Reason reason = Reason::kAllWell;
  /// "broker 2", "pod events-2", "topic orders"; empty: the resource itself.
  std::string object;
  /// What is particular about it, in words; may be empty.
  std::string detail;
  bool operator==(const Finding&) const = default;
};
/// "The brokers do not let this one stop now (broker 2: orders/3 would have 1 of 2 replicas in
/// sync). Next: ...": the same text in condition, event and log.
std::string sentence(const Finding& finding);

/// For kubectl describe. The shell adds them up: the same event again raises a count.
struct Event {
  bool warning = false;
  Reason reason = Reason::kAllWell;
  std::string message;
  bool operator==(const Event&) const = default;
};

/// A standard condition, without its times.
struct Condition {
  std::string type;
  /// "True", "False", "Unknown".
  std::string status;
  Reason reason = Reason::kAllWell;
  std::string message;
};

/// status.conditions: `conditions` in their order, with lastTransitionTime taken from `before` (the
/// array that is in the resource now) where type and status are the same, else `now`. Types that
/// are no longer said are dropped.
Json conditions_json(const std::vector<Condition>& conditions, const Json& before,
                     std::int64_t generation, common::Timestamp now);

/// "2026-11-21T18:35:00Z".
std::string rfc3339(common::Timestamp time);
/// Of what the API server wrote; whole seconds. nullopt: something else.
std::optional<common::Timestamp> parse_rfc3339(std::string_view text);

}  // namespace millrace::plan
