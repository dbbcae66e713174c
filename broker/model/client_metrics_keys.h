// The settings of a client metrics subscription (KIP-714): which clients push which metrics, how
// often.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "broker/model/config_key.h"

namespace millrace::model {

inline constexpr std::string_view kSubscribedMetrics = "metrics";
inline constexpr std::string_view kSubscriptionInterval = "interval.ms";
inline constexpr std::string_view kSubscriptionMatch = "match";
inline constexpr std::int32_t kSubscriptionIntervalMsDefault = 300'000;

/// Every setting of a subscription, sorted by name.
std::span<const ConfigKey> client_metrics_keys();
const ConfigKey* find_client_metrics_key(std::string_view name);

/// With Kafka's wording: kInvalidConfig: not a number. kInvalidRequest: unknown name, or a number
/// that does not fit. The patterns of "match" are not looked into.
Result<void> check_client_metrics_config(std::string_view name, std::string_view value);

}  // namespace millrace::model
