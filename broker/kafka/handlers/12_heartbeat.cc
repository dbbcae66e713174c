// Heartbeat of a member of a classic group.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_home.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/heartbeat.h"

namespace millrace::kafka {
namespace {

using Request = wire::HeartbeatRequest;
using Response = wire::HeartbeatResponse;

void answer(Call<Request> call, ErrorCode code) {
  // While the group is loaded nobody's session runs: there is nothing for the member to do.
  if (code == ErrorCode::kCoordinatorLoadInProgress) code = ErrorCode::kNone;
  Response response;
  response.error_code = kafka_number(code);
  call.answer(response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  if (request.group_id.empty()) return answer(std::move(call), ErrorCode::kInvalidGroupId);
  service::Shard& shard = call.shard();
  coordinator::Heartbeat heartbeat{.group = std::move(request.group_id),
                                   .generation = coordinator::Epoch{request.generation_id},
                                   .member = std::move(request.member_id),
                                   .instance = std::move(request.group_instance_id)};
  tell_group_home(call, heartbeat.group);
  service::heartbeat(shard, std::move(heartbeat),
                     [call = std::move(call)](coordinator::Status status) mutable {
                       answer(std::move(call), status.code);
                     });
}

}  // namespace millrace::kafka
