#include "broker/service/logger_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "broker/service/loggers.h"

namespace millrace::service {
namespace {

using model::ErrorCode;
using Operation = ConfigChange::Operation;

constexpr std::array<std::string_view, 6> kLevels = {"DEBUG", "ERROR", "FATAL",
                                                     "INFO",  "TRACE", "WARN"};

common::Result<void> check_broker(const Shard& here, const std::string& name) {
  if (name == fmt::format("{}", here.identity().node)) return common::ok();
  return common::Error{
      ErrorCode::kInvalidRequest,
      fmt::format("Unexpected broker id, expected {} but received {}", here.identity().node, name)};
}

std::map<std::string, std::string> levels(const Shard& here) {
  return here.loggers() == nullptr ? std::map<std::string, std::string>{}
                                   : here.loggers()->levels();
}

common::Result<void> check_change(const std::map<std::string, std::string>& known,
                                  const ConfigChange& change) {
  if (change.operation != Operation::kSet && change.operation != Operation::kDelete) {
    return common::Error{
        ErrorCode::kInvalidRequest,
        fmt::format("{} operation is not allowed for the BROKER_LOGGER resource",
                    change.operation == Operation::kAppend ? "APPEND" : "SUBTRACT")};
  }
  if (!known.contains(change.name)) {
    return common::Error{ErrorCode::kInvalidConfig,
                         fmt::format("Logger {} does not exist!", change.name)};
  }
  if (change.operation == Operation::kDelete) {
    return common::Error{
        ErrorCode::kInvalidRequest,
        fmt::format("Removing the log level of the {} logger is not allowed", change.name)};
  }
  if (std::find(kLevels.begin(), kLevels.end(), change.value.value_or("")) != kLevels.end())
    return common::ok();
  return common::Error{
      ErrorCode::kInvalidConfig,
      fmt::format("Cannot set the log level of {} to {} as it is not a supported log level. Valid "
                  "log levels are {}",
                  change.name, change.value.value_or("null"), fmt::join(kLevels, ", "))};
}

}  // namespace

ConfigAnswer describe_loggers(const Shard& here, const ConfigQuery& query) {
  if (const auto checked = check_broker(here, query.name); !checked.ok())
    return {.code = checked.error().code, .detail = checked.error().detail};
  ConfigAnswer answer;
  for (const auto& [name, level] : levels(here)) {
    if (query.keys && std::find(query.keys->begin(), query.keys->end(), name) == query.keys->end())
      continue;
    answer.entries.push_back({.name = name,
                              .value = level,
                              .source = ConfigSource::kBrokerLogger,
                              .synonyms = {{name, level, ConfigSource::kBrokerLogger}}});
  }
  return answer;
}

common::Result<void> alter_loggers(const Shard& here, const ConfigCommand& command,
                                   AlterStyle style, bool validate_only) {
  if (style == AlterStyle::kReplaceAll) {
    return common::Error{ErrorCode::kInvalidRequest,
                         "The levels of loggers are changed by IncrementalAlterConfigs alone"};
  }
  TRY(check_broker(here, command.resource));
  const auto known = levels(here);
  for (const ConfigChange& change : command.changes) TRY(check_change(known, change));
  if (validate_only) return common::ok();
  for (const ConfigChange& change : command.changes)
    TRY(here.loggers()->set_level(change.name, *change.value));
  return common::ok();
}

}  // namespace millrace::service
