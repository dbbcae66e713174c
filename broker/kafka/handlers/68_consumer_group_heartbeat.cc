// ConsumerGroupHeartbeat (KIP-848): joins, stays in and leaves a consumer group.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_home.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/consumer_group_heartbeat.h"

namespace millrace::kafka {
namespace {

using Request = wire::ConsumerGroupHeartbeatRequest;
using Response = wire::ConsumerGroupHeartbeatResponse;
using coordinator::ConsumerHeartbeat;
using coordinator::ConsumerHeartbeatOutcome;

constexpr std::int16_t kOwnMemberIdVersionMin = 1;  // from it on, members draw their ids
constexpr std::int32_t kJoinEpoch = 0;

/// What only this door knows to be wrong; kNone if nothing is.
coordinator::Status refusal(const Request& request, std::int16_t version) {
  const bool names_itself = version >= kOwnMemberIdVersionMin || request.member_epoch != kJoinEpoch;
  if (names_itself && request.member_id.empty())
    return {ErrorCode::kInvalidRequest, "MemberId can't be empty."};
  if (request.group_id.empty()) return {ErrorCode::kInvalidRequest, "GroupId can't be empty."};
  return {};
}

ConsumerHeartbeat wanted(Request request, const Call<Request>& call) {
  ConsumerHeartbeat heartbeat;
  heartbeat.group = std::move(request.group_id);
  heartbeat.member = request.member_id.empty() ? common::Uuid::random(call.shard().random()).text()
                                               : std::move(request.member_id);
  heartbeat.epoch = coordinator::Epoch{request.member_epoch};
  heartbeat.instance = std::move(request.instance_id);
  heartbeat.rack = std::move(request.rack_id);
  heartbeat.rebalance_timeout_ms = request.rebalance_timeout_ms;
  heartbeat.topics = std::move(request.subscribed_topic_names);
  heartbeat.topic_regex = std::move(request.subscribed_topic_regex);
  heartbeat.assignor = std::move(request.server_assignor);
  if (request.topic_partitions) {
    auto& owned = heartbeat.owned.emplace();
    for (Request::TopicPartitions& topic : *request.topic_partitions)
      owned.push_back({topic.topic_id, std::move(topic.partitions)});
  }
  heartbeat.client = call.client();
  return heartbeat;
}

void answer(Call<Request> call, ConsumerHeartbeatOutcome outcome) {
  Response response;
  if (!outcome.status.ok()) {
    put_error(response, outcome.status.code, std::move(outcome.status.detail));
    return call.answer(response);
  }
  response.member_id = std::move(outcome.member);
  response.member_epoch = outcome.epoch.value();
  response.heartbeat_interval_ms = outcome.heartbeat_interval_ms;
  if (outcome.assignment) {
    auto& topics = response.assignment.emplace().topic_partitions;
    for (coordinator::TopicPartitions& topic : *outcome.assignment)
      topics.push_back({.topic_id = topic.topic, .partitions = std::move(topic.partitions)});
  }
  call.answer(response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  if (coordinator::Status refused = refusal(request, call.version()); !refused.ok()) {
    ConsumerHeartbeatOutcome outcome;
    outcome.status = std::move(refused);
    return answer(std::move(call), std::move(outcome));
  }
  service::Shard& shard = call.shard();
  ConsumerHeartbeat heartbeat = wanted(std::move(request), call);
  tell_group_home(call, heartbeat.group);
  service::consumer_heartbeat(shard, std::move(heartbeat),
                              [call = std::move(call)](ConsumerHeartbeatOutcome outcome) mutable {
                                answer(std::move(call), std::move(outcome));
                              });
}

}  // namespace millrace::kafka
