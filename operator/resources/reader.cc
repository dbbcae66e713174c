#include "operator/resources/reader.h"

#include <fmt/format.h>

#include <utility>

namespace millrace::resources {

Reader::Reader(const Json& object, std::string path, std::vector<std::string>& problems)
    : object_(object), path_(std::move(path)), problems_(problems) {
  if (!object.is_object() && !object.is_null()) {
    problems_.push_back(fmt::format("{} must be an object", path_));
  }
}

const Json* Reader::find(std::string_view name) const {
  const Json& value = at(object_, name);
  return value.is_null() ? nullptr : &value;
}

void Reader::problem(std::string_view name, std::string_view what) {
  problems_.push_back(fmt::format("{}.{} {}", path_, name, what));
}

void Reader::integer(std::string_view name, std::int64_t& target, Range range) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  const auto number = integer_of(*value);
  if (!number || *number < range.low || *number > range.high) {
    return problem(name, fmt::format("must be a number from {} to {}", range.low, range.high));
  }
  target = *number;
}

void Reader::integer(std::string_view name, std::int32_t& target, Range range) {
  std::int64_t number = target;
  integer(name, number, range);
  target = static_cast<std::int32_t>(number);
}

void Reader::text(std::string_view name, std::string& target) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_string()) return problem(name, "must be a text");
  target = value->get<std::string>();
}

void Reader::text(std::string_view name, std::optional<std::string>& target) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_string()) return problem(name, "must be a text");
  target = value->get<std::string>();
}

void Reader::flag(std::string_view name, bool& target) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_boolean()) return problem(name, "must be true or false");
  target = value->get<bool>();
}

void Reader::labels(std::string_view name, std::map<std::string, std::string>& target) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_object()) return problem(name, "must be a map of texts");
  for (const auto& [label, text] : value->items()) {
    if (text.is_string()) {
      target[label] = text.get<std::string>();
    } else {
      problem(name, fmt::format("[{}] must be a text", label));
    }
  }
}

void Reader::settings(std::string_view name, std::map<std::string, std::string>& target) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_object()) return problem(name, "must be a map of settings");
  for (const auto& [setting, given] : value->items()) {
    if (const auto text = scalar_text(given)) {
      target[setting] = *text;
    } else {
      problem(name, fmt::format("[{}] must be a text, a number, true or false", setting));
    }
  }
}

void Reader::object(std::string_view name, Json& target) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_object()) return problem(name, "must be an object");
  if (!value->empty()) target = *value;
}

void Reader::array(std::string_view name, Json& target) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_array()) return problem(name, "must be a list");
  if (!value->empty()) target = *value;
}

Reader Reader::inside(std::string_view name) {
  return {at(object_, name), fmt::format("{}.{}", path_, name), problems_};
}

std::vector<Reader> Reader::each(std::string_view name) {
  std::vector<Reader> readers;
  const Json* const value = find(name);
  if (value == nullptr) return readers;
  if (!value->is_array()) {
    problem(name, "must be a list");
    return readers;
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    readers.emplace_back((*value)[i], fmt::format("{}.{}[{}]", path_, name, i), problems_);
  }
  return readers;
}

}  // namespace millrace::resources
