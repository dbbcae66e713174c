// DescribeQuorum (KIP-595): who votes on the metadata log, who follows it, and how far they are.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/quorum.h"
#include "broker/wire/messages/describe_quorum.h"

namespace millrace::kafka {
namespace {

using Request = wire::DescribeQuorumRequest;
using Response = wire::DescribeQuorumResponse;

bool asks_for_quorum(const Request::Topic& topic, const Request::Partition& partition) {
  return topic.topic_name == service::kMetadataTopicName && partition.partition_index == 0;
}

/// By the leader's clock; -1: never.
std::int64_t time_before(common::Timestamp now, std::int64_t ms) {
  return ms < 0 ? -1 : now.value() - ms;
}

/// Voters and observers are told alike.
template <typename View>
View view_of(const service::GroupMember& member, common::Timestamp now) {
  View view;
  view.replica_id = member.id.node.value();
  view.replica_directory_id = member.id.directory;
  view.log_end_offset = member.end.value();
  view.last_fetch_timestamp = time_before(now, member.silent_ms);
  view.last_caught_up_timestamp = time_before(now, member.behind_ms);
  return view;
}

void put(const service::Quorum& quorum, Response::PartitionResult& answer) {
  answer.leader_id = quorum.group.leader.node.value();
  answer.leader_epoch = quorum.group.term.value();
  answer.high_watermark = quorum.group.commit.value();
  for (const service::GroupMember& member : quorum.group.members) {
    if (member.votes) {
      answer.current_voters.push_back(view_of<Response::Voter>(member, quorum.now));
    } else {
      answer.observers.push_back(view_of<Response::Observer>(member, quorum.now));
    }
  }
}

void add_nodes(const service::Quorum& quorum, const service::Shard& shard, const Arrival& arrival,
               Response& response) {
  for (const service::GroupMember& member : quorum.group.members) {
    const auto broker = broker_view(shard, arrival, member.id.node);
    if (!member.votes || !broker) continue;
    Response::Node& node = response.nodes.emplace_back();
    node.node_id = broker->id;
    // Kafka's admin client refuses a listener's name that is not in capitals.
    node.listeners.push_back({"PLAINTEXT", broker->host, static_cast<std::uint16_t>(broker->port)});
  }
}

Response respond(const Request& request, const service::Quorum& quorum) {
  Response response;
  response.error_message.reset();
  for (const Request::Topic& topic : request.topics) {
    Response::TopicResult& answers = response.topics.emplace_back();
    answers.topic_name = topic.topic_name;
    for (const Request::Partition& partition : topic.partitions) {
      Response::PartitionResult& answer = answers.partitions.emplace_back();
      answer.partition_index = partition.partition_index;
      answer.error_message.reset();
      if (asks_for_quorum(topic, partition)) {
        put(quorum, answer);
      } else {
        put_error(answer, ErrorCode::kUnknownTopicOrPartition, "");
      }
    }
  }
  return response;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto kept = std::make_unique<Request>(std::move(request));
  const Arrival arrival = call.arrival();
  service::describe_quorum(shard, [&shard, call = std::move(call), kept = std::move(kept),
                                   arrival](common::Result<service::Quorum> quorum) mutable {
    if (quorum.ok()) {
      Response response = respond(*kept, *quorum);
      add_nodes(*quorum, shard, arrival, response);
      return call.answer(response);
    }
    Response refused;
    put_error(refused, quorum.error().code, quorum.error().detail);
    call.answer(refused);
  });
}

}  // namespace millrace::kafka
