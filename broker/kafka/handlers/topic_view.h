// Topics and brokers as Metadata, DescribeTopicPartitions and DescribeCluster tell of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/kafka/handlers/answers.h"
#include "broker/metadata/image.h"
#include "broker/model/topic_name.h"
#include "broker/service/leaders.h"
#include "broker/service/shard.h"

namespace millrace::kafka {

/// One broker with the address that Kafka clients should use.
struct BrokerView {
  std::int32_t id = -1;
  std::string host;
  std::int32_t port = 0;
  std::optional<std::string> rack;
};

/// The brokers of the cluster that serve Kafka clients, by id; this one is always among them, at
/// `own_address`.
std::vector<BrokerView> broker_views(const service::Shard& shard, const env::Endpoint& own_address);

/// A partition as the image knows it. Replicas on other brokers are offline; who leads it is filled
/// in by answer_with_leaders().
template <typename Partition>
Partition partition_view(const service::Shard& shard, const metadata::Topic& topic,
                         std::int32_t index) {
  Partition view;
  view.partition_index = index;
  view.leader_id = -1;
  view.error_code = kafka_number(ErrorCode::kLeaderNotAvailable);
  for (const model::BrokerId replica : topic.partitions[static_cast<std::size_t>(index)]) {
    view.replica_nodes.push_back(replica.value());
    if (replica == shard.identity().node) {
      view.isr_nodes.push_back(replica.value());
    } else {
      view.offline_replicas.push_back(replica.value());
    }
  }
  return view;
}

/// Asks the shards which of the answer's partitions they lead, fills that in, and answers.
template <typename Request>
void answer_with_leaders(service::Shard& shard, typename Request::Response response,
                         Call<Request> call) {
  std::vector<model::PartitionKey> keys;
  for (const auto& topic : response.topics) {
    for (const auto& partition : topic.partitions) {
      keys.push_back({topic.topic_id, model::PartitionIndex{partition.partition_index}});
    }
  }
  service::leader_epochs(shard, std::move(keys),
                         [call = std::move(call), self = shard.identity().node,
                          response = std::make_unique<typename Request::Response>(std::move(
                              response))](std::vector<std::optional<model::Term>> epochs) mutable {
                           auto epoch = epochs.begin();
                           for (auto& topic : response->topics) {
                             for (auto& partition : topic.partitions) {
                               if (const auto& led = *epoch++) {
                                 partition.error_code = kafka_number(ErrorCode::kNone);
                                 partition.leader_id = self.value();
                                 partition.leader_epoch = led->value();
                               }
                             }
                           }
                           call.answer(*response);
                         });
}

}  // namespace millrace::kafka
