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
  /// Since anybody last fetched from the leader; nullopt: nobody since it leads.
  std::optional<common::Duration> unfetched;
  /// Since the leader leads.
  common::Duration led{0};
  /// Of its log on the leader.
  std::int64_t bytes = 0;
  bool operator==(const PartitionFacts&) const = default;
};

/// In the order of the keys; nullopt: nobody leads it, or its leader does not answer. Answers on
/// `here`'s loop; inline when one shard owns all. Cost: one message to and from each other shard
/// that owns some, and one call to each other broker that leads some.
void partition_facts(Shard& here, std::vector<model::PartitionKey> keys,
                     common::Reply<std::vector<std::optional<PartitionFacts>>> done);

/// Serves the calls by which brokers ask each other for the above. Once, at the start.
void serve_partition_facts(Shard& shard);

/// The bodies of these calls: docs/formats/cluster.md. Decoding is safe on any bytes.
common::Bytes encode(const std::vector<model::PartitionKey>& keys);
common::Result<std::vector<model::PartitionKey>> decode_keys(common::ByteView body);
common::Bytes encode(const std::vector<std::optional<PartitionFacts>>& facts);
common::Result<std::vector<std::optional<PartitionFacts>>> decode_facts(common::ByteView body);

}  // namespace millrace::service
