// const std::string node = text_at(pod, {"spec", "nodeName"});
//
// Reading JSON that somebody else wrote: a missing member or one of another type is an ordinary
// case, never an exception.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::kube {

using Path = std::initializer_list<std::string_view>;

/// The value at the end of the path of members; nullptr if one is missing or its parent no object.
const nlohmann::json* find(const nlohmann::json& object, Path path);

/// Empty if there is no string.
std::string text_at(const nlohmann::json& object, Path path);

/// nullopt if there is no integer that fits.
std::optional<std::int64_t> number_at(const nlohmann::json& object, Path path);

/// The value of a label; nullopt without it.
std::optional<std::string> label_of(const nlohmann::json& object, std::string_view label);

/// One line of text without spaces, members sorted. Bytes that are no UTF-8 become U+FFFD.
std::string compact(const nlohmann::json& object);

/// nullopt if the text is no JSON. Where metadata.managedFields would be, nothing is built.
std::optional<nlohmann::json> parse_object(std::string_view text);

}  // namespace millrace::kube
