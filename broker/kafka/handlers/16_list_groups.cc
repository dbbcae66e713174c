// ListGroups: all groups, or those in some states (KIP-518) or of some types (KIP-848).
#include <optional>
#include <string_view>

#include "broker/coordinator/names.h"
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_view.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/list_groups.h"

namespace millrace::kafka {
namespace {

using Request = wire::ListGroupsRequest;
using Response = wire::ListGroupsResponse;

/// Those that are named; names that nothing has are left out.
template <typename Value>
std::vector<Value> named(const std::vector<std::string>& names,
                         std::optional<Value> (*by_name)(std::string_view)) {
  std::vector<Value> found;
  for (const std::string& name : names) {
    if (const auto value = by_name(name)) found.push_back(*value);
  }
  return found;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::GroupFilter filter{named(request.states_filter, coordinator::state_named),
                              named(request.types_filter, coordinator::type_named)};
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
