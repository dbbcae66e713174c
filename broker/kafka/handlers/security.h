// What is said where a client asks for access rules, credentials or quotas, of which this broker
// has none.
#pragma once

#include <string_view>

namespace millrace::kafka {

// Kafka's own words for a broker without authorizer.
inline constexpr std::string_view kNoAuthorizer = "No Authorizer is configured.";
inline constexpr std::string_view kNoScram =
    "This broker has no SASL listener, so it keeps no SCRAM credentials; nothing was changed.";
inline constexpr std::string_view kNoQuotas =
    "This broker does not enforce client quotas, so it keeps none; nothing was changed.";

}  // namespace millrace::kafka
