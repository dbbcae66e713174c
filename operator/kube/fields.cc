#include "operator/kube/fields.h"

namespace millrace::kube {

using nlohmann::json;

const json* find(const json& object, Path path) {
  const json* at = &object;
  for (const std::string_view member : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(member);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

std::string text_at(const json& object, Path path) {
  const json* value = find(object, path);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::optional<std::int64_t> number_at(const json& object, Path path) {
  const json* value = find(object, path);
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  return value->get<std::int64_t>();
}

std::optional<std::string> label_of(const json& object, std::string_view label) {
  const json* value = find(object, {"metadata", "labels", label});
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->get<std::string>();
}

std::string compact(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<json> parse_object(std::string_view text) {
  // The depth of the last member named "metadata" whose value is being read; -1 outside of one.
  int metadata_depth = -1;
  const json::parser_callback_t keep = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event != json::parse_event_t::key) return true;
    const auto& key = parsed.get_ref<const std::string&>();
    if (metadata_depth >= 0 && depth == metadata_depth + 1 && key == "managedFields") return false;
    if (key == "metadata") {
      metadata_depth = depth;
    } else if (depth <= metadata_depth) {
      metadata_depth = -1;
    }
    return true;
  };
  json object = json::parse(text, keep, /*allow_exceptions=*/false);
  if (object.is_discarded()) return std::nullopt;
  return object;
}

}  // namespace millrace::kube
