#include <fmt/format.h>

#include "operator/plan/testing/world.h"
#include "operator/resources/fields.h"

namespace millrace::plan::testing {

using resources::at;
using resources::text_of;

std::string describe(const Action& action) {
  return fmt::format("{} {} [{}] {}\n", step_name(action.step), verb(action), code(action.reason),
                     action.note);
}

std::string describe(const ClusterPlan& plan) {
  std::string said;
  for (const Action& action : plan.actions) said += describe(action);
  if (plan.actions.empty()) said += "no actions\n";
  const Json& conditions = at(plan.status, "conditions");
  if (!conditions.is_array()) return said;
  for (const Json& condition : conditions) {
    const std::string type = text_of(at(condition, "type"));
    const std::string status = text_of(at(condition, "status"));
    const std::string reason = text_of(at(condition, "reason"));
    const bool usual =
        (type == "Ready" && status == "True") || (type == "Progressing" && reason == "AllWell") ||
        (type == "Degraded" && reason == "AllWell") || (type == "SafeSettings" && status == "True");
    if (usual) continue;
    said += fmt::format("{}={} {}: {}\n", type, status, reason, text_of(at(condition, "message")));
  }
  return said;
}

}  // namespace millrace::plan::testing
