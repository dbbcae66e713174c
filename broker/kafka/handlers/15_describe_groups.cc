// DescribeGroups: classic groups with their members.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_view.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/describe_groups.h"

namespace millrace::kafka {
namespace {

using Request = wire::DescribeGroupsRequest;
using Response = wire::DescribeGroupsResponse;
using coordinator::GroupDescription;

constexpr std::int16_t kOperationsVersionMin = 3;
constexpr std::int16_t kNotFoundVersionMin = 6;  // before it, a group that is not there is dead

void put_members(GroupDescription& group, Response::Group& view) {
  view.group_state = coordinator::name_of(group.summary.state);
  view.protocol_type = std::move(group.summary.protocol_type);
  view.protocol_data = std::move(group.protocol);
  for (GroupDescription::Member& member : group.members) {
    view.members.push_back({.member_id = std::move(member.member),
                            .group_instance_id = std::move(member.instance),
                            .client_id = std::move(member.client.id),
                            .client_host = std::move(member.client.host),
                            .member_metadata = std::move(member.metadata),
                            .member_assignment = std::move(member.assignment_bytes)});
  }
}

Response::Group view(GroupDescription group, std::int16_t version, bool with_operations) {
  const coordinator::Status status = refused(group, coordinator::GroupType::kClassic);
  Response::Group view;
  view.group_id = group.summary.group;
  if (status.ok()) {
    put_members(group, view);
  } else if (status.code == ErrorCode::kGroupIdNotFound) {
    view.group_state = coordinator::name_of(coordinator::GroupState::kDead);
    if (version >= kNotFoundVersionMin) put_error(view, status.code, status.detail);
  } else {
    put_error(view, status.code, status.detail);
  }
  if (with_operations && view.error_code == 0) view.authorized_operations = kGroupOperations;
  return view;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  const bool with_operations =
      request.include_authorized_operations && call.version() >= kOperationsVersionMin;
  service::describe_groups(
      shard, std::move(request.groups),
      [call = std::move(call), with_operations](std::vector<GroupDescription> groups) mutable {
        Response response;
        for (GroupDescription& group : groups)
          response.groups.push_back(view(std::move(group), call.version(), with_operations));
        call.answer(response);
      });
}

}  // namespace millrace::kafka
