#include "broker/service/producers.h"

#include <utility>

#include "broker/service/leaders.h"
#include "broker/service/scatter.h"

namespace millrace::service {
namespace {

struct ProducersItem {
  PartitionRef target;
};

}  // namespace

void init_producer_id(Shard& here, common::Reply<common::Result<ProducerIdentity>> done) {
  here.next_producer_id([done = std::move(done)](common::Result<model::ProducerId> id) mutable {
    if (!id.ok()) return done(std::move(id).error());
    done(ProducerIdentity{*id, 0});
  });
}

void describe_producers(Shard& here, std::vector<PartitionRef> partitions,
                        common::Reply<std::vector<ProducersAnswer>> done) {
  std::vector<ProducersItem> items;
  for (PartitionRef& partition : partitions) items.push_back({std::move(partition)});
  scatter<ProducersItem, ProducersAnswer>(
      here, std::move(items),
      [](Shard& owner, const model::PartitionKey& key, const ProducersItem&,
         common::Reply<ProducersAnswer> reply) {
        const auto partition = replica_of(owner, key);
        if (!partition.ok())
          return reply({.code = partition.error().code, .detail = partition.error().detail});
        reply({.producers = (*partition)->producers()});
      },
      [](const common::Error& error) {
        return ProducersAnswer{.code = error.code, .detail = error.detail};
      },
      std::move(done));
}

}  // namespace millrace::service
