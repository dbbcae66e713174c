// What clients say as labels of Prometheus metrics: bounded, and never able to break a scrape.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::telemetry {

inline constexpr std::size_t kLabelBytesMax = 200;

/// A label's value: UTF-8 without control characters, '?' for what is none, cut after
/// kLabelBytesMax bytes.
std::string label_value(std::string_view text);

/// A label's name: letters and digits in lower case, anything else as '_'. nullopt: there is no
/// letter in front, or it is longer than a name should be.
std::optional<std::string> label_name(std::string_view text);

}  // namespace millrace::telemetry
