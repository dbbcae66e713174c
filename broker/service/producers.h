// Use cases: identities of idempotent producers, and what partitions know of them.
#pragma once

#include <string>
#include <vector>

#include "broker/service/partition_ref.h"

namespace millrace::service {

struct ProducerIdentity {
  model::ProducerId id = model::kNoProducerId;
  std::int16_t epoch = -1;
};

/// A new identity with epoch 0: without a transactional id there is nothing that an old one could
/// be fenced for. Answers on `here`'s loop.
void init_producer_id(Shard& here, common::Reply<common::Result<ProducerIdentity>> done);

struct ProducersAnswer {
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string detail;
  std::vector<model::ProducerEntry> producers;
};

void describe_producers(Shard& here, std::vector<PartitionRef> partitions,
                        common::Reply<std::vector<ProducersAnswer>> done);

}  // namespace millrace::service
