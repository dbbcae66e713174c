#include "broker/model/config_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace millrace::model {
namespace {

std::string_view trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Error invalid(const ConfigKey& key, std::string_view value, std::string_view why) {
  return Error{ErrorCode::kInvalidConfig,
               fmt::format("Invalid value {} for configuration {}: {}", value, key.name, why)};
}

std::string_view number_type(ConfigType type) {
  switch (type) {
    case ConfigType::kInt:
      return "INT";
    case ConfigType::kShort:
      return "SHORT";
    case ConfigType::kLong:
      return "LONG";
    default:
      return "DOUBLE";
  }
}

bool fits(ConfigType type, std::int64_t value) {
  if (type == ConfigType::kInt) return value >= INT32_MIN && value <= INT32_MAX;
  if (type == ConfigType::kShort) return value >= INT16_MIN && value <= INT16_MAX;
  return true;
}

/// A decimal as Java prints it: 2 is "2.0".
std::string java_decimal(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

Result<void> check_bounds(const ConfigKey& key, double value, std::string_view shown) {
  if (key.also && value == *key.also) return common::ok();
  const bool below = key.low && value < *key.low;
  const bool above = key.high && value > *key.high;
  if (!below && !above) return common::ok();
  if (key.also) {
    return invalid(key, shown,
                   fmt::format("Value must be between {} and {} or equal to {}", *key.low,
                               *key.high, *key.also));
  }
  if (below) return invalid(key, shown, fmt::format("Value must be at least {}", *key.low));
  return invalid(key, shown, fmt::format("Value must be no more than {}", *key.high));
}

Result<void> check_number(const ConfigKey& key, std::string_view text) {
  if (key.type == ConfigType::kDouble) {
    const auto value = parse_decimal(text);
    if (!value) return invalid(key, text, "Not a number of type DOUBLE");
    return check_bounds(key, *value, java_decimal(*value));
  }
  const auto value = parse_integer(text);
  if (!value || !fits(key.type, *value)) {
    return invalid(key, text, fmt::format("Not a number of type {}", number_type(key.type)));
  }
  return check_bounds(key, static_cast<double>(*value), fmt::format("{}", *value));
}

Result<void> check_word(const ConfigKey& key, std::string_view value) {
  if (key.words.empty()) return common::ok();
  const auto words = split(key.words, '|');
  if (std::find(words.begin(), words.end(), value) != words.end()) return common::ok();
  return invalid(key, value, fmt::format("String must be one of: {}", fmt::join(words, ", ")));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

Result<void> check_config_value(const ConfigKey& key, std::string_view value) {
  switch (key.type) {
    case ConfigType::kBoolean:
      if (!parse_boolean(value))
        return invalid(key, value, "Expected value to be either true or false");
      return common::ok();
    case ConfigType::kInt:
    case ConfigType::kShort:
    case ConfigType::kLong:
    case ConfigType::kDouble:
      if (trim(value).empty() && key.default_value.empty()) return common::ok();
      return check_number(key, trim(value));
    case ConfigType::kList:
      for (const std::string& element : parse_list(value)) TRY(check_word(key, element));
      return common::ok();
    case ConfigType::kString:
    case ConfigType::kClass:
    case ConfigType::kPassword:
      return check_word(key, trim(value));
  }
  return common::ok();
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  text = trim(text);
  if (text.size() > 1 && text.front() == '+' && text[1] != '-') text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_decimal(std::string_view text) {
  text = trim(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<bool> parse_boolean(std::string_view text) {
  text = trim(text);
  const auto is = [&](std::string_view word) {
    return std::equal(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
      return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
    });
  };
  if (is("true")) return true;
  if (is("false")) return false;
  return std::nullopt;
}

std::vector<std::string> parse_list(std::string_view text) {
  std::vector<std::string> elements;
  for (const std::string_view part : split(text, ',')) {
    if (const std::string_view element = trim(part); !element.empty())
      elements.emplace_back(element);
  }
  return elements;
}

std::string join_list(const std::vector<std::string>& elements) {
  return fmt::format("{}", fmt::join(elements, ","));
}

const ConfigKey* find_key(std::span<const ConfigKey> table, std::string_view name) {
  const auto row = std::lower_bound(
      table.begin(), table.end(), name,
      [](const ConfigKey& key, std::string_view wanted) { return key.name < wanted; });
  return row != table.end() && row->name == name ? &*row : nullptr;
}

std::string_view nearest_name(std::span<const ConfigKey> table, std::string_view name) {
  constexpr std::size_t kNameBytesMax =
      256;  // longer ones are no misspelling, and comparing them costs
  if (name.size() > kNameBytesMax) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const ConfigKey& key : table) {
    const auto [shorter, longer] = std::minmax({name.size(), key.name.size()});
    if (longer - shorter >= best_distance) continue;  // so many letters are missing at least
    const std::size_t distance = edit_distance(name, key.name);
    if (distance < best_distance) {
      best = key.name;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace millrace::model
