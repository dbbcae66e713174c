// SyncGroup: the leader of a classic group hands in its assignment, every member gets its part.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_home.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/sync_group.h"

namespace millrace::kafka {
namespace {

using Request = wire::SyncGroupRequest;
using Response = wire::SyncGroupResponse;

constexpr std::int16_t kProtocolVersionMin = 5;  // KIP-559

ErrorCode refusal(const Request& request, std::int16_t version) {
  if (version >= kProtocolVersionMin && !(request.protocol_type && request.protocol_name))
    return ErrorCode::kInconsistentGroupProtocol;
  return request.group_id.empty() ? ErrorCode::kInvalidGroupId : ErrorCode::kNone;
}

coordinator::SyncGroup wanted(Request request) {
  coordinator::SyncGroup sync;
  sync.group = std::move(request.group_id);
  sync.generation = coordinator::Epoch{request.generation_id};
  sync.member = std::move(request.member_id);
  sync.instance = std::move(request.group_instance_id);
  sync.protocol_type = std::move(request.protocol_type);
  sync.protocol = std::move(request.protocol_name);
  for (Request::Assignment& assignment : request.assignments) {
    // The group keeps it: a window on the frame would keep the frame.
    sync.assignments.push_back(
        {std::move(assignment.member_id), common::Bytes::copy_of(assignment.assignment.view())});
  }
  return sync;
}

void answer(Call<Request> call, coordinator::SyncOutcome outcome) {
  Response response;
  response.error_code = kafka_number(outcome.status.code);
  response.protocol_type = std::move(outcome.protocol_type);
  response.protocol_name = std::move(outcome.protocol);
  response.assignment = std::move(outcome.assignment);
  call.answer(response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  if (const ErrorCode code = refusal(request, call.version()); code != ErrorCode::kNone) {
    coordinator::SyncOutcome refused;
    refused.status.code = code;
    return answer(std::move(call), std::move(refused));
  }
  service::Shard& shard = call.shard();
  tell_group_home(call, request.group_id);
  service::sync_group(shard, wanted(std::move(request)),
                      [call = std::move(call)](coordinator::SyncOutcome outcome) mutable {
                        answer(std::move(call), std::move(outcome));
                      });
}

}  // namespace millrace::kafka
