// AlterReplicaLogDirs: a broker has one data directory, so a partition is there already or cannot
// be moved.
#include "broker/kafka/handlers/answers.h"
#include "broker/service/partition_ref.h"
#include "broker/wire/messages/alter_replica_log_dirs.h"

namespace millrace::kafka {
namespace {

ErrorCode outcome(const service::Shard& shard, const std::string& path, const std::string& topic,
                  std::int32_t partition) {
  if (path != shard.settings().data_dir) return ErrorCode::kLogDirNotFound;
  const auto found = service::resolve(shard, {{}, topic, model::PartitionIndex{partition}});
  // Kafka tells clients so of a partition that the broker does not hold.
  return found.ok() ? ErrorCode::kNone : ErrorCode::kReplicaNotAvailable;
}

}  // namespace

template <>
void handle(wire::AlterReplicaLogDirsRequest request, Call<wire::AlterReplicaLogDirsRequest> call) {
  const service::Shard& shard = call.shard();
  wire::AlterReplicaLogDirsResponse response;
  for (const auto& directory : request.dirs) {
    for (const auto& topic : directory.topics) {
      auto& result = response.results.emplace_back();
      result.topic_name = topic.name;
      for (const std::int32_t partition : topic.partitions) {
        result.partitions.push_back(
            {partition, kafka_number(outcome(shard, directory.path, topic.name, partition))});
      }
    }
  }
  call.answer(response);
}

}  // namespace millrace::kafka
