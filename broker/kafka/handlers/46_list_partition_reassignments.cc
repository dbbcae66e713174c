// ListPartitionReassignments (KIP-455): the moves of replicas that are under way.
#include <algorithm>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/metadata/replica_sets.h"
#include "broker/wire/messages/list_partition_reassignments.h"

namespace millrace::kafka {
namespace {

using Request = wire::ListPartitionReassignmentsRequest;
using Response = wire::ListPartitionReassignmentsResponse;

Response::PartitionMove view(const metadata::PartitionAssignment& assignment, std::int32_t index) {
  Response::PartitionMove view;
  view.partition_index = index;
  for (const model::BrokerId broker : replicas_of(assignment)) {
    view.replicas.push_back(broker.value());
    if (!holds(assignment.replicas, broker)) view.adding_replicas.push_back(broker.value());
    if (!holds(assignment.target, broker)) view.removing_replicas.push_back(broker.value());
  }
  return view;
}

/// Adds the topic if a partition of it moves; `wanted` nullptr: all of its partitions are meant.
void add(const metadata::Topic& topic, const std::vector<std::int32_t>* wanted,
         Response& response) {
  Response::Move move;
  move.name = topic.name;
  for (std::int32_t i = 0; i < topic.partition_count(); ++i) {
    const metadata::PartitionAssignment& assignment =
        topic.assignments[static_cast<std::size_t>(i)];
    if (!assignment.moving()) continue;
    if (wanted != nullptr && std::find(wanted->begin(), wanted->end(), i) == wanted->end())
      continue;
    move.partitions.push_back(view(assignment, i));
  }
  if (!move.partitions.empty()) response.topics.push_back(std::move(move));
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  const metadata::Image& image = call.shard().image();
  Response response;
  response.error_message.reset();
  if (!request.topics.has_value()) {
    for (const auto& [name, topic] : image.topics()) add(*topic, nullptr, response);
  } else {
    for (const Request::Topic& wanted : *request.topics) {
      if (const auto topic = image.topic(wanted.name))
        add(*topic, &wanted.partition_indexes, response);
    }
  }
  call.answer(response);
}

}  // namespace millrace::kafka
