#include "broker/service/leaders.h"

#include "broker/service/lookup.h"

namespace millrace::service {

void leader_epochs(Shard& here, std::vector<model::PartitionKey> keys,
                   common::Reply<std::vector<std::optional<model::Term>>> done) {
  look_up<model::Term>(
      here, std::move(keys),
      [](Shard& owner, const model::PartitionKey& key) -> std::optional<model::Term> {
        const replica::Partition* partition = owner.partition(key);
        if (partition == nullptr) return std::nullopt;
        return partition->bounds().leader_epoch;
      },
      std::move(done));
}

}  // namespace millrace::service
