#include "broker/server/settings_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace millrace::server {
namespace {

std::string source_of(const model::ConfigEntry& entry) {
  return entry.source == model::ConfigSource::kDefault ? "default" : "set";
}

}  // namespace

std::string settings_as_table(const model::ConfigMap& config) {
  std::size_t name_width = 0;
  const auto entries = model::describe_broker_config({.from_start = &config});
  for (const model::ConfigEntry& entry : entries)
    name_width = std::max(name_width, entry.key->name.size());
  std::string table;
  for (const model::ConfigEntry& entry : entries) {
    const std::string value = entry.value.empty() ? "-" : entry.value;
    const std::string unit = entry.key->unit.empty() ? "" : fmt::format(" {}", entry.key->unit);
    table +=
        fmt::format("{:<{}}  {}{} ({})\n{:<{}}  {}{}\n", entry.key->name, name_width, value, unit,
                    source_of(entry), "", name_width, entry.key->meaning,
                    entry.key->effective ? "" : " (accepted for compatibility; without effect)");
  }
  return table;
}

std::string settings_as_json(const model::ConfigMap& config) {
  auto rows = nlohmann::json::array();
  for (const model::ConfigEntry& entry : model::describe_broker_config({.from_start = &config})) {
    rows.push_back({{"name", entry.key->name},
                    {"value", entry.value},
                    {"default", entry.key->default_value},
                    {"source", source_of(entry)},
                    {"unit", entry.key->unit},
                    {"meaning", entry.key->meaning},
                    {"effective", entry.key->effective}});
  }
  return rows.dump(2) + "\n";
}

}  // namespace millrace::server
