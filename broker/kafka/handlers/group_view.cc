#include "broker/kafka/handlers/group_view.h"

#include <fmt/format.h>

namespace millrace::kafka {
namespace {

/// A client may call itself by almost as many bytes as a string can have, and ids are strings too.
constexpr std::size_t kKnownByBytesMax = 1000;

}  // namespace

std::string fresh_member_id(const std::string& known_by, common::Random& random) {
  const common::Uuid uuid = common::Uuid::random(random);
  std::string text = cut_text(known_by, kKnownByBytesMax) + "-";
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    // As UUIDs are usually written: groups of 8, 4, 4, 4 and 12 digits.
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid.bytes[i]);
  }
  return text;
}

std::string_view type_name(coordinator::GroupType type) {
  return type == coordinator::GroupType::kClassic ? "classic" : "consumer";
}

coordinator::Status refused(const coordinator::GroupDescription& group,
                            coordinator::GroupType wanted) {
  using coordinator::GroupType;
  const std::string& id = group.summary.group;
  if (group.status.code == ErrorCode::kGroupIdNotFound)
    return {ErrorCode::kGroupIdNotFound, fmt::format("Group {} not found.", id)};
  if (!group.status.ok()) return group.status;
  if (group.summary.type == wanted) return {};
  return {ErrorCode::kGroupIdNotFound,
          fmt::format("Group {} is not a {} group.", id, type_name(wanted))};
}

}  // namespace millrace::kafka
