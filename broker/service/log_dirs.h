// Use case: how much each partition takes of the data directory.
#pragma once

#include <vector>

#include "broker/service/shard.h"

namespace millrace::service {

struct PartitionSize {
  model::PartitionKey key;
  std::string topic_name;
  std::uint64_t bytes = 0;
};

struct LogDirs {
  std::string path;
  env::DiskSpace space;
  std::vector<PartitionSize> partitions;
};

/// Sizes of all partitions of all shards. Answers on `here`'s loop.
void describe_log_dirs(Shard& here, common::Reply<common::Result<LogDirs>> done);

}  // namespace millrace::service
