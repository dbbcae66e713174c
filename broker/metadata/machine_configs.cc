// Commands about settings.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "broker/metadata/machine.h"
#include "broker/model/client_metrics_keys.h"

namespace millrace::metadata {
namespace {

using model::ConfigKey;
using model::ConfigMap;
using model::Error;
using model::ErrorCode;
using Operation = ConfigChange::Operation;

constexpr std::size_t kValueBytesMax = 32767;

std::string_view word(Operation operation) {
  return operation == Operation::kAppend ? "APPEND" : "SUBTRACT";
}

/// What holds for every change, whatever it is about.
Result<void> check_form(const std::vector<ConfigChange>& changes) {
  std::set<std::string_view> names;
  for (const ConfigChange& change : changes) {
    if (!names.insert(change.name).second) {
      return Error{ErrorCode::kInvalidRequest, "Error due to duplicate config keys"};
    }
    if (change.operation < Operation::kSet || change.operation > Operation::kSubtract) {
      return Error{ErrorCode::kInvalidRequest,
                   fmt::format("Unknown operations type {}", static_cast<int>(change.operation))};
    }
    if (change.operation == Operation::kDelete) continue;
    if (!change.value) {
      return Error{ErrorCode::kInvalidRequest,
                   fmt::format("Null value not supported for : {}", change.name)};
    }
    if (change.value->size() > kValueBytesMax) {
      return Error{ErrorCode::kInvalidConfig,
                   fmt::format("The configuration value cannot be added because it exceeds the "
                               "maximum value size of {} bytes.",
                               kValueBytesMax)};
    }
  }
  return common::ok();
}

/// `current` with the elements of `change` added or taken away.
std::string changed_list(const std::string& current, const ConfigChange& change) {
  std::vector<std::string> elements = model::parse_list(current);
  for (const std::string& element : model::parse_list(*change.value)) {
    const auto found = std::find(elements.begin(), elements.end(), element);
    if (change.operation == Operation::kSubtract) {
      std::erase(elements, element);
    } else if (found == elements.end()) {
      elements.push_back(element);
    }
  }
  return model::join_list(elements);
}

/// The settings after the changes. `in_force` gives the value that APPEND and SUBTRACT start from.
template <typename InForce>
Result<ConfigMap> changed(ConfigMap settings, const std::vector<ConfigChange>& changes,
                          AlterStyle style, const ConfigKey* (*find)(std::string_view),
                          const InForce& in_force) {
  if (style == AlterStyle::kReplaceAll) settings.clear();
  for (const ConfigChange& change : changes) {
    switch (change.operation) {
      case Operation::kSet:
        settings[change.name] = *change.value;
        break;
      case Operation::kDelete:
        settings.erase(change.name);
        break;
      case Operation::kAppend:
      case Operation::kSubtract: {
        const ConfigKey* const key = find(change.name);
        if (key == nullptr || key->type != model::ConfigType::kList) {
          return Error{ErrorCode::kInvalidConfig,
                       fmt::format("Can't {} to key {} because its type is not LIST.",
                                   word(change.operation), change.name)};
        }
        settings[change.name] = changed_list(in_force(change.name), change);
        break;
      }
    }
  }
  return settings;
}

/// Calls `emit(name, value or nullopt)` for every difference, in order of name.
template <typename Emit>
void each_difference(const ConfigMap& before, const ConfigMap& after, const Emit& emit) {
  std::set<std::string> names;
  for (const auto& [name, value] : before) names.insert(name);
  for (const auto& [name, value] : after) names.insert(name);
  for (const std::string& name : names) {
    const auto old = before.find(name);
    const auto now = after.find(name);
    if (now == after.end()) {
      emit(name, std::nullopt);
    } else if (old == before.end() || old->second != now->second) {
      emit(name, std::optional<std::string>(now->second));
    }
  }
}

/// Removing a setting needs the right to change it; values that stay are not judged again.
Result<void> check_broker_difference(const std::string& name,
                                     const std::optional<std::string>& value,
                                     model::DynamicScope scope) {
  const ConfigKey* const key = model::find_broker_key(name);
  if (value) return model::check_dynamic_broker_config(name, *value, scope);
  if (key == nullptr) return common::ok();
  return model::check_dynamic_broker_config(name, key->default_value, scope);
}

}  // namespace

Result<Decision<NoOutcome>> decide(const Image& image, const AlterTopicConfigs& command,
                                   const model::BrokerLayers& layers) {
  const auto topic = image.topic(command.topic);
  if (topic == nullptr) {
    return Error{ErrorCode::kUnknownTopicOrPartition,
                 fmt::format("The topic '{}' does not exist.", command.topic)};
  }
  TRY(check_form(command.changes));
  const auto in_force = [&](const std::string& name) {
    for (const model::ConfigEntry& entry : model::describe_topic_config(topic->configs, layers)) {
      if (entry.key->name == name) return entry.value;
    }
    return std::string();
  };
  TRY_ASSIGN(const ConfigMap after, changed(topic->configs, command.changes, command.style,
                                            model::find_topic_key, in_force));
  TRY(model::check_topic_configs(after));
  Decision<NoOutcome> decision;
  each_difference(topic->configs, after,
                  [&](const std::string& name, const std::optional<std::string>& value) {
                    decision.records.emplace_back(TopicConfigSet{topic->id, name, value});
                  });
  return decision;
}

Result<Decision<NoOutcome>> decide(const Image& image, const AlterBrokerConfigs& command,
                                   const model::BrokerLayers& layers) {
  if (command.broker && !image.brokers().contains(*command.broker)) {
    return Error{ErrorCode::kBrokerIdNotRegistered,
                 fmt::format("No node with id {} found.", *command.broker)};
  }
  TRY(check_form(command.changes));
  const ConfigMap& before =
      command.broker ? image.broker_config(*command.broker) : image.cluster_config();
  const auto in_force = [&](const std::string& name) {
    return std::string(model::broker_value(name, layers).value_or(std::string_view{}));
  };
  TRY_ASSIGN(const ConfigMap after,
             changed(before, command.changes, command.style, model::find_broker_key, in_force));
  const auto scope =
      command.broker ? model::DynamicScope::kOneBroker : model::DynamicScope::kWholeCluster;
  Decision<NoOutcome> decision;
  Result<void> checked;
  each_difference(before, after,
                  [&](const std::string& name, const std::optional<std::string>& value) {
                    if (checked.ok()) checked = check_broker_difference(name, value, scope);
                    decision.records.emplace_back(BrokerConfigSet{command.broker, name, value});
                  });
  TRY(checked);
  return decision;
}

Result<Decision<NoOutcome>> decide(const Image& image, const AlterClientMetrics& command) {
  if (command.subscription.empty())
    return Error{ErrorCode::kInvalidRequest, "Subscription name can't be empty"};
  TRY(check_form(command.changes));
  const auto& all = image.resource_configs(ResourceKind::kClientMetrics);
  const auto found = all.find(command.subscription);
  const ConfigMap before = found == all.end() ? ConfigMap{} : found->second;
  const auto in_force = [&](const std::string& name) {
    const auto value = before.find(name);
    return value == before.end() ? std::string() : value->second;
  };
  TRY_ASSIGN(const ConfigMap after, changed(before, command.changes, command.style,
                                            model::find_client_metrics_key, in_force));
  for (const auto& [name, value] : after) TRY(model::check_client_metrics_config(name, value));
  Decision<NoOutcome> decision;
  each_difference(
      before, after, [&](const std::string& name, const std::optional<std::string>& value) {
        decision.records.emplace_back(
            ResourceConfigSet{ResourceKind::kClientMetrics, command.subscription, name, value});
      });
  return decision;
}

}  // namespace millrace::metadata
