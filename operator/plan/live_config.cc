// Settings that change while brokers run. What the operator set it also takes back; what somebody
// else set by other means, and the resource does not name, is left alone. So it is written down in
// the status (managedConfig) which settings are the operator's, before the first of them is set.
#include <fmt/format.h>

#include <algorithm>

#include "operator/plan/parts.h"

namespace millrace::plan {
namespace {

void alter(Draft& draft, const std::string& name, std::optional<std::string> value) {
  const Answer* const answer = draft.picture.answer("AlterBrokerConfig/" + name);
  const bool refused = answer != nullptr && answer->kind == Answer::Kind::kRefused;
  if (refused) draft.say(Reason::kConfigRefused, "setting " + name, answer->sentence);
  Action action{.step = Step::kConfig,
                .reason = Reason::kConfigAltered,
                .note = value ? fmt::format("set {}={} on all brokers", name, *value)
                              : fmt::format("take {} back on all brokers", name),
                .deed = AlterBrokerConfig{name, value}};
  // Behind all others: when it fails again, they are done.
  auto& actions = draft.plan.actions;
  if (refused) {
    actions.push_back(std::move(action));
  } else {
    const auto first = std::find_if(actions.begin(), actions.end(),
                                    [](const Action& one) { return one.step == Step::kConfig; });
    actions.insert(first, std::move(action));
  }
}

}  // namespace

void plan_live_config(Draft& draft) {
  const Picture& picture = draft.picture;
  const auto wanted = resources::dynamic_config(picture.wanted());
  const auto& managed = picture.managed_config;
  const bool known = picture.view.reachable && picture.view.dynamic_config.has_value();
  if (!known && !wanted.empty()) draft.say(Reason::kConfigWaiting);
  for (const auto& [name, value] : wanted) {
    draft.managed_config.push_back(name);
    if (!known || std::find(managed.begin(), managed.end(), name) == managed.end()) continue;
    const auto now = picture.view.dynamic_config->find(name);
    if (now == picture.view.dynamic_config->end() || now->second != value) {
      alter(draft, name, value);
    }
  }
  for (const std::string& name : managed) {
    if (wanted.count(name) > 0) continue;
    const bool gone = known && picture.view.dynamic_config->count(name) == 0;
    if (gone) continue;
    draft.managed_config.push_back(name);
    if (known) alter(draft, name, std::nullopt);
  }
  std::sort(draft.managed_config.begin(), draft.managed_config.end());
}

}  // namespace millrace::plan
