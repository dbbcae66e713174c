#include "broker/model/client_metrics_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace millrace::model {
namespace {

using enum ConfigType;

constexpr std::array kKeys = {
    ConfigKey{.name = kSubscriptionInterval,
              .type = kInt,
              .default_value = "300000",
              .unit = "ms",
              .meaning = "How often a client pushes.",
              .low = 100,
              .high = 3'600'000},
    ConfigKey{.name = kSubscriptionMatch,
              .type = kList,
              .meaning = "Which clients push: NAME=REGEX of client_instance_id, client_id, "
                         "client_software_name, client_software_version, client_source_address "
                         "or client_source_port, all of which must match; empty: all clients."},
    ConfigKey{.name = kSubscribedMetrics,
              .type = kList,
              .meaning = "Prefixes of the names of metrics to push; *: all."},
};
static_assert(std::is_sorted(kKeys.begin(), kKeys.end(),
                             [](const ConfigKey& a, const ConfigKey& b) {
                               return a.name < b.name;
                             }),
              "find_key() searches by halves");

}  // namespace

std::span<const ConfigKey> client_metrics_keys() {
  return kKeys;
}

const ConfigKey* find_client_metrics_key(std::string_view name) {
  return find_key(kKeys, name);
}

Result<void> check_client_metrics_config(std::string_view name, std::string_view value) {
  const ConfigKey* const key = find_client_metrics_key(name);
  if (key == nullptr) {
    return Error{ErrorCode::kInvalidRequest,
                 fmt::format("Unknown client metrics configuration: {}", name)};
  }
  if (key->type != kInt) return common::ok();
  const auto number = parse_integer(value);
  if (!number) return check_config_value(*key, value);
  if (static_cast<double>(*number) >= *key->low && static_cast<double>(*number) <= *key->high)
    return common::ok();
  return Error{ErrorCode::kInvalidRequest,
               fmt::format("Invalid value {} for {}, interval must be between 100 and 3600000 (1 "
                           "hour)",
                           value, name)};
}

}  // namespace millrace::model
