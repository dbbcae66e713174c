// Use case: where partitions stand, and when they were last read.
#pragma once

#include <optional>
#include <vector>

#include "broker/service/shard.h"

namespace millrace::service {

struct PartitionFacts {
  model::Offset log_start;
  /// The end of what readers see.
  model::Offset end;
  /// Since anybody last fetched; nullopt: nobody since the broker leads it.
  std::optional<common::Duration> unfetched;
  /// Since this broker leads it.
  common::Duration led{0};
};

/// In the order of the keys; nullopt: nobody of this broker leads it. Answers on `here`'s loop;
/// inline when one shard owns all. Cost: one message to and from each other shard that owns some.
void partition_facts(Shard& here, std::vector<model::PartitionKey> keys,
                     common::Reply<std::vector<std::optional<PartitionFacts>>> done);

}  // namespace millrace::service
