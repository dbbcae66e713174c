// DescribeQuorum (KIP-595): the metadata log has one voter, this broker.
#include <memory>

#include "broker/kafka/handlers/answers.h"
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

void put(const service::Quorum& quorum, Response::PartitionResult& answer) {
  answer.leader_id = quorum.leader.value();
  answer.leader_epoch = quorum.epoch.value();
  answer.high_watermark = quorum.high_watermark.value();
  // A leader is always caught up with itself: Kafka gives its own clock's time.
  answer.current_voters.push_back({quorum.leader.value(), quorum.directory, quorum.log_end.value(),
                                   quorum.now.value(), quorum.now.value()});
}

Response respond(const Request& request, const service::Quorum& quorum,
                 const env::Endpoint& address) {
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
  Response::Node& node = response.nodes.emplace_back();
  node.node_id = quorum.leader.value();
  // Kafka's admin client refuses a listener's name that is not in capitals.
  node.listeners.push_back({"PLAINTEXT", address.host, address.port});
  return response;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto kept = std::make_unique<Request>(std::move(request));
  const env::Endpoint address = call.advertised();
  service::describe_quorum(shard, [call = std::move(call), kept = std::move(kept),
                                   address](common::Result<service::Quorum> quorum) mutable {
    if (quorum.ok()) return call.answer(respond(*kept, *quorum, address));
    Response refused;
    put_error(refused, quorum.error().code, quorum.error().detail);
    call.answer(refused);
  });
}

}  // namespace millrace::kafka
