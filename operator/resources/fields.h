// at(object, "spec", "storage", "size")
//
// Looking into JSON that somebody else wrote, without exceptions: what is not there, or is not what
// was expected, is absent.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::resources {

using Json = nlohmann::json;

/// The member at the end of the path; a null value where any step is missing or no object.
const Json& at(const Json& object);
template <typename... Path>
const Json& at(const Json& object, std::string_view name, Path... rest) {
  static const Json kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(name);
  return found == object.end() ? kNothing : at(*found, rest...);
}
inline const Json& at(const Json& object) {
  return object;
}

/// Empty where it is no string.
std::string text_of(const Json& value);
std::optional<std::int64_t> integer_of(const Json& value);
/// False where it is no boolean.
bool is_true(const Json& value);
/// A string, number or boolean as the text that a setting would have; nullopt for anything else.
std::optional<std::string> scalar_text(const Json& value);

}  // namespace millrace::resources
