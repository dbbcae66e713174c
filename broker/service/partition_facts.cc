#include "broker/service/partition_facts.h"

#include "broker/service/lookup.h"

namespace millrace::service {

void partition_facts(Shard& here, std::vector<model::PartitionKey> keys,
                     common::Reply<std::vector<std::optional<PartitionFacts>>> done) {
  look_up<PartitionFacts>(
      here, std::move(keys),
      [](Shard& owner, const model::PartitionKey& key) -> std::optional<PartitionFacts> {
        const replica::Partition* partition = owner.partition(key);
        if (partition == nullptr) return std::nullopt;
        const replica::Bounds bounds = partition->bounds();
        const common::Instant now = owner.clock().now();
        PartitionFacts facts{.log_start = bounds.log_start,
                             .end = bounds.last_stable,
                             .unfetched = {},
                             .led = now - partition->led_since()};
        if (const auto last = partition->last_fetch()) facts.unfetched = now - *last;
        return facts;
      },
      std::move(done));
}

}  // namespace millrace::service
