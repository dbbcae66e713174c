#include "broker/model/topic_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace millrace::model {
namespace {

bool allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

Error invalid(std::string_view why) {
  return Error{ErrorCode::kInvalidTopic, fmt::format("Topic name is invalid: {}", why)};
}

constexpr std::array<std::string_view, 4> kInternalTopics = {
    "__cluster_metadata", "__consumer_offsets", "__share_group_state", "__transaction_state"};

}  // namespace

Result<void> check_topic_name(std::string_view name) {
  if (name.empty()) return invalid("the empty string is not allowed");
  if (name == "." || name == "..") return invalid(fmt::format("'{}' is not allowed", name));
  if (name.size() > kTopicNameBytesMax) {
    return invalid(fmt::format("the length of '{}' is longer than the max allowed length {}", name,
                               kTopicNameBytesMax));
  }
  if (!std::all_of(name.begin(), name.end(), allowed)) {
    return invalid(fmt::format(
        "'{}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        name));
  }
  return common::ok();
}

std::string collision_form(std::string_view name) {
  std::string form(name);
  std::replace(form.begin(), form.end(), '.', '_');
  return form;
}

bool topic_names_collide(std::string_view a, std::string_view b) {
  return collision_form(a) == collision_form(b);
}

bool is_internal_topic(std::string_view name) {
  return std::find(kInternalTopics.begin(), kInternalTopics.end(), name) != kInternalTopics.end();
}

}  // namespace millrace::model
