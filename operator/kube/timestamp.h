// Wall-clock time as the API writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace millrace::kube {

/// "2026-03-01T12:30:45Z": metav1.Time.
std::string time_text(common::Timestamp when);
/// "2026-03-01T12:30:45.678000Z": metav1.MicroTime, which must have six digits.
std::string micro_time_text(common::Timestamp when);
/// Reads either, with any number of digits of a second. nullopt: something else.
std::optional<common::Timestamp> parse_time(std::string_view text);

}  // namespace millrace::kube
