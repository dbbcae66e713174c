// Use case: may a broker stop now?
#pragma once

#include "broker/metadata/restart_permit.h"
#include "broker/service/shard.h"

namespace millrace::service {

struct PermitWish {
  model::BrokerId broker{-1};
  /// Which process of it; zero: the one that is registered.
  common::Uuid incarnation;
  std::int64_t lasts_ms = 120'000;
};

/// Asks the leader of the metadata log, which looks at all partitions first; answers on `here`'s
/// loop, when a permit that was granted is committed. What it is about is in the answer; errors:
/// kNotController, kLeaderNotAvailable, kRequestTimedOut ...: ask again.
void ask_permit(Shard& here, PermitWish wish,
                common::Reply<common::Result<metadata::PermitAnswer>> done);

/// The broker stays after all: its permit ends. Answers on `here`'s loop whether it had one. Errors
/// as of MetadataWriter, and kBrokerIdNotRegistered.
void give_back_permit(Shard& here, model::BrokerId broker,
                      common::Reply<common::Result<bool>> done);

/// Serves such questions of other brokers. On the first shard, once.
void serve_permits(Shard& first);

/// The answer as the body of a call: docs/formats/cluster.md; without its records. Decoding is safe
/// on any bytes.
common::Bytes encode(const metadata::PermitAnswer& answer);
common::Result<metadata::PermitAnswer> decode_permit_answer(common::ByteView body);

}  // namespace millrace::service
