// if (const auto state = state_named("stable")) ...
//
// States and types by the names that Kafka's tools print: name_of() the other way round.
#pragma once

#include <optional>
#include <string_view>

#include "broker/coordinator/requests.h"

namespace millrace::coordinator {

/// In any case of letters, as people type them. nullopt: there is none of that name.
std::optional<GroupState> state_named(std::string_view name);
std::optional<GroupType> type_named(std::string_view name);

}  // namespace millrace::coordinator
