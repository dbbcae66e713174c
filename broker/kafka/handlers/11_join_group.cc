// JoinGroup: a member of a classic group comes, or comes again. Answered when the members of the
// next generation are complete.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_home.h"
#include "broker/kafka/handlers/group_view.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/join_group.h"

namespace millrace::kafka {
namespace {

using Request = wire::JoinGroupRequest;
using Response = wire::JoinGroupResponse;

constexpr std::int16_t kRebalanceTimeoutVersionMin = 1;
constexpr std::int16_t kMemberIdRequiredVersionMin = 4;  // KIP-394
constexpr std::int16_t kSkipAssignmentVersionMin = 9;    // KIP-814

coordinator::JoinGroup wanted(Request request, const Call<Request>& call) {
  coordinator::JoinGroup join;
  join.group = std::move(request.group_id);
  join.member = std::move(request.member_id);
  join.instance = std::move(request.group_instance_id);
  join.protocol_type = std::move(request.protocol_type);
  for (Request::Protocol& protocol : request.protocols) {
    // The group keeps it: a window on the frame would keep the frame.
    join.protocols.push_back(
        {std::move(protocol.name), common::Bytes::copy_of(protocol.metadata.view())});
  }
  join.session_timeout_ms = request.session_timeout_ms;
  join.rebalance_timeout_ms = call.version() >= kRebalanceTimeoutVersionMin
                                  ? request.rebalance_timeout_ms
                                  : request.session_timeout_ms;
  join.client = call.client();
  join.reason = std::move(request.reason).value_or("");
  join.fresh_member =
      fresh_member_id(join.instance.value_or(join.client.id), call.shard().random());
  join.member_id_required = call.version() >= kMemberIdRequiredVersionMin;
  join.skip_assignment_known = call.version() >= kSkipAssignmentVersionMin;
  return join;
}

Response view(coordinator::JoinOutcome outcome, const std::string& asked_member) {
  Response response;
  response.error_code = kafka_number(outcome.status.code);
  response.generation_id = outcome.generation.value();
  response.protocol_type = std::move(outcome.protocol_type);
  response.protocol_name = std::move(outcome.protocol).value_or("");
  response.leader = std::move(outcome.leader);
  response.skip_assignment = outcome.skip_assignment;
  response.member_id = outcome.member.empty() ? asked_member : std::move(outcome.member);
  for (coordinator::JoinOutcome::Member& member : outcome.members) {
    response.members.push_back({.member_id = std::move(member.member),
                                .group_instance_id = std::move(member.instance),
                                .metadata = std::move(member.metadata)});
  }
  return response;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  const std::string member = request.member_id;
  if (request.group_id.empty())
    return call.answer(view({.status = {ErrorCode::kInvalidGroupId, {}}}, member));
  coordinator::JoinGroup join = wanted(std::move(request), call);
  tell_group_home(call, join.group);
  service::join_group(shard, std::move(join),
                      [call = std::move(call), member](coordinator::JoinOutcome outcome) mutable {
                        call.answer(view(std::move(outcome), member));
                      });
}

}  // namespace millrace::kafka
