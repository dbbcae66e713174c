// Topics and brokers as Metadata, DescribeTopicPartitions and DescribeCluster tell of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/kafka/handlers/answers.h"
#include "broker/metadata/image.h"
#include "broker/model/topic_name.h"
#include "broker/service/shard.h"

namespace millrace::kafka {

/// One broker with the address that Kafka clients should use.
struct BrokerView {
  std::int32_t id = -1;
  std::string host;
  std::int32_t port = 0;
  std::optional<std::string> rack;
};

/// The brokers of the cluster that serve Kafka clients, by id; this one is always among them.
std::vector<BrokerView> broker_views(const service::Shard& shard);

/// Fills the fields that both kinds of partition answers have. Every replica is on a broker of the image or offline.
template <typename Partition>
Partition partition_view(const service::Shard& shard, const metadata::Topic& topic, std::int32_t index) {
  Partition view;
  view.partition_index = index;
  const std::int32_t self = shard.identity().node.value();
  for (const model::BrokerId replica : topic.partitions[static_cast<std::size_t>(index)]) {
    view.replica_nodes.push_back(replica.value());
    if (replica.value() == self) {
      view.leader_id = self;
      view.isr_nodes.push_back(self);
    } else {
      view.offline_replicas.push_back(replica.value());
    }
  }
  if (view.isr_nodes.empty()) {
    view.leader_id = -1;
    view.error_code = kafka_number(ErrorCode::kLeaderNotAvailable);
  }
  return view;
}

}  // namespace millrace::kafka
