// ListGroups: all groups, or those in some states (KIP-518) or of some types (KIP-848).
#include <algorithm>
#include <array>
#include <cctype>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_view.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/list_groups.h"

namespace millrace::kafka {
namespace {

using Request = wire::ListGroupsRequest;
using Response = wire::ListGroupsResponse;
using coordinator::GroupState;
using coordinator::GroupType;

constexpr std::array kStates = {GroupState::kEmpty,
                                GroupState::kPreparingRebalance,
                                GroupState::kCompletingRebalance,
                                GroupState::kStable,
                                GroupState::kDead,
                                GroupState::kAssigning,
                                GroupState::kReconciling};
constexpr std::array kTypes = {GroupType::kClassic, GroupType::kConsumer};

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

/// Those that are named; names that nothing has are left out.
template <typename Value, std::size_t count, typename NameOf>
std::vector<Value> named(const std::vector<std::string>& names, const std::array<Value, count>& all,
                         NameOf name_of) {
  std::vector<Value> found;
  for (const Value value : all) {
    const bool wanted = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return same_word(name, name_of(value));
    });
    if (wanted) found.push_back(value);
  }
  return found;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::GroupFilter filter{
      named(request.states_filter, kStates, [](GroupState state) { return name_of(state); }),
      named(request.types_filter, kTypes, type_name)};
  // A filter of unknown names lets nothing through; one without names, everything.
  const bool nothing = (filter.states.empty() && !request.states_filter.empty()) ||
                       (filter.types.empty() && !request.types_filter.empty());
  if (nothing) return call.answer({});
  service::Shard& shard = call.shard();
  service::list_groups(
      shard, std::move(filter),
      [call =
           std::move(call)](common::Result<std::vector<coordinator::GroupSummary>> groups) mutable {
        Response response;
        if (!groups.ok()) {
          response.error_code = kafka_number(groups.error().code);
          return call.answer(response);
        }
        for (coordinator::GroupSummary& group : *groups) {
          response.groups.push_back({.group_id = std::move(group.group),
                                     .protocol_type = std::move(group.protocol_type),
                                     .group_state = std::string(name_of(group.state)),
                                     .group_type = std::string(type_name(group.type))});
        }
        call.answer(response);
      });
}

}  // namespace millrace::kafka
