// FindCoordinator: of a group, whoever leads its partition of __consumer_offsets. There are no
// transactions, and no coordinator of them to wait for; a client should learn that at once.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_view.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/find_coordinator.h"

namespace millrace::kafka {
namespace {

using Request = wire::FindCoordinatorRequest;
using Response = wire::FindCoordinatorResponse;
using coordinator::Status;
using service::CoordinatorHome;

constexpr std::int8_t kGroup = 0;
constexpr std::int8_t kTransaction = 1;
constexpr std::int16_t kKeysVersionMin = 4;

/// Why no broker coordinates keys of this type; kNone for groups.
Status refusal(std::int8_t key_type) {
  if (key_type == kGroup) return {};
  if (key_type == kTransaction)
    return {ErrorCode::kUnsupportedVersion, "This broker has no transactions."};
  return {ErrorCode::kInvalidRequest,
          fmt::format("This broker has no coordinators of type {}.", key_type)};
}

Response::Coordinator view(std::string key, CoordinatorHome home, const service::Shard& shard,
                           const Arrival& arrival) {
  Response::Coordinator view;
  const auto broker = home.status.ok() ? broker_view(shard, arrival, home.broker) : std::nullopt;
  if (home.status.ok() && !broker) {
    home.status = {ErrorCode::kCoordinatorNotAvailable,
                   has_address(shard, arrival, home.broker)
                       ? "The coordinator's broker is not heard now"
                       : fmt::format("The coordinator's broker has no address on listener {}",
                                     arrival.listener)};
  }
  view.key = std::move(key);
  view.error_code = kafka_number(home.status.code);
  view.node_id = -1;
  view.port = -1;
  view.error_message = message_of(home.status.code, std::move(home.status.detail)).value_or("");
  if (!broker) return view;
  view.node_id = broker->id;
  view.host = broker->host;
  view.port = broker->port;
  return view;
}

/// One coordinator in the older form of the answer.
void flatten(Response::Coordinator from, Response& response) {
  response.error_code = from.error_code;
  // Kafka's word for no error, in these versions only.
  response.error_message = from.error_code == 0 ? "NONE" : std::move(from.error_message);
  response.node_id = from.node_id;
  response.host = std::move(from.host);
  response.port = from.port;
}

struct Work {
  std::vector<std::string> keys;
  service::Shard& shard;
  Arrival arrival;
};

void answer(Work& work, std::vector<CoordinatorHome> homes, Call<Request> call) {
  Response response;
  for (std::size_t i = 0; i < work.keys.size(); ++i) {
    response.coordinators.push_back(
        view(std::move(work.keys[i]), std::move(homes[i]), work.shard, work.arrival));
  }
  if (call.version() < kKeysVersionMin) flatten(std::move(response.coordinators.front()), response);
  call.answer(response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto work =
      std::make_unique<Work>(Work{std::move(request.coordinator_keys), shard, call.arrival()});
  if (call.version() < kKeysVersionMin) work->keys = {std::move(request.key)};
  const std::vector<std::string> keys = work->keys;
  if (const Status refused = refusal(request.key_type); !refused.ok() || keys.empty())
    return answer(*work, std::vector<CoordinatorHome>(keys.size(), {.status = refused}),
                  std::move(call));
  const auto gather = std::make_shared<Gather<CoordinatorHome>>(
      keys.size(),
      [call = std::move(call), work = std::move(work)](std::vector<CoordinatorHome> homes) mutable {
        answer(*work, std::move(homes), std::move(call));
      });
  for (std::size_t i = 0; i < keys.size(); ++i)
    service::locate_coordinator(shard, keys[i], gather->reply(i));
}

}  // namespace millrace::kafka
