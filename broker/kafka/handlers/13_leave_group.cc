// LeaveGroup: one member up to version 2, any number of them from version 3 on (KIP-345).
#include "broker/kafka/handlers/answers.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/leave_group.h"

namespace millrace::kafka {
namespace {

using Request = wire::LeaveGroupRequest;
using Response = wire::LeaveGroupResponse;
using coordinator::LeaveOutcome;
using coordinator::Status;
using Members = std::vector<coordinator::LeaveGroup::Member>;

constexpr std::int16_t kMembersVersionMin = 3;

Members wanted_members(Request& request, std::int16_t version) {
  Members members;
  if (version < kMembersVersionMin) {
    members.push_back({std::move(request.member_id), {}, {}});
    return members;
  }
  for (Request::Member& member : request.members) {
    members.push_back({std::move(member.member_id), std::move(member.group_instance_id),
                       std::move(member.reason).value_or("")});
  }
  return members;
}

void answer(const Members& members, LeaveOutcome outcome, Call<Request> call) {
  ErrorCode whole = outcome.status.code;
  // A group that is not there has none of the members; that is said of each of them.
  if (whole == ErrorCode::kGroupIdNotFound || whole == ErrorCode::kUnknownMemberId) {
    whole = ErrorCode::kNone;
    outcome.members.assign(members.size(), Status{ErrorCode::kUnknownMemberId, {}});
  }
  CHECK(whole != ErrorCode::kNone || outcome.members.size() == members.size());
  Response response;
  if (call.version() < kMembersVersionMin && whole == ErrorCode::kNone)
    whole = outcome.members.front().code;
  response.error_code = kafka_number(whole);
  for (std::size_t i = 0; whole == ErrorCode::kNone && i < members.size(); ++i) {
    response.members.push_back({.member_id = members[i].member,
                                .group_instance_id = members[i].instance,
                                .error_code = kafka_number(outcome.members[i].code)});
  }
  call.answer(response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  Members members = wanted_members(request, call.version());
  if (request.group_id.empty())
    return answer(members, {.status = {ErrorCode::kInvalidGroupId, {}}, .members = {}},
                  std::move(call));
  service::Shard& shard = call.shard();
  coordinator::LeaveGroup leave{std::move(request.group_id), members};
  service::leave_group(
      shard, std::move(leave),
      [call = std::move(call), members = std::move(members)](LeaveOutcome outcome) mutable {
        answer(members, std::move(outcome), std::move(call));
      });
}

}  // namespace millrace::kafka
