// Use cases: a broker is emptied, kept after all, or leaves for good.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/metadata/machine_cluster.h"
#include "broker/metadata/plan_moves.h"
#include "broker/service/shard.h"

namespace millrace::service {

struct DrainProgress {
  metadata::BrokerState state = metadata::BrokerState::kActive;
  /// Replicas that it has or is to give away.
  std::int64_t replicas_left = 0;
};

/// All replicas of a broker are to go elsewhere; asked again, how far that is. Answers on `here`'s
/// loop, as all of these. kBrokerIdNotRegistered, kInvalidReplicationFactor (too few brokers would
/// stay), kFeatureUpdateFailed (the cluster is none yet), and those of MetadataWriter.
void drain_broker(Shard& here, model::BrokerId broker,
                  common::Reply<common::Result<DrainProgress>> done);
/// Errors likewise.
void undrain_broker(Shard& here, model::BrokerId broker,
                    common::Reply<common::Result<DrainProgress>> done);
/// `directory` nullopt: whichever it is registered with. kInvalidRequest: it is not drained and
/// empty; otherwise likewise. Asked again, the same receipt, as long as the directory is named.
void decommission_broker(Shard& here, model::BrokerId broker, std::optional<common::Uuid> directory,
                         common::Reply<common::Result<metadata::Receipt>> done);

/// What keeps replicas from moving, as the leader of the metadata log found when it planned last.
/// kLeaderNotAvailable: nobody leads it, which keeps everything; kRequestTimedOut ...
void ask_move_blockers(Shard& here,
                       common::Reply<common::Result<std::vector<metadata::MoveBlocker>>> done);
/// Serves such questions of other brokers. On the first shard, once.
void serve_move_blockers(Shard& first);

/// The answer as the body of a call: docs/formats/cluster.md. Decoding is safe on any bytes.
common::Bytes encode(const std::vector<metadata::MoveBlocker>& blockers);
common::Result<std::vector<metadata::MoveBlocker>> decode_move_blockers(common::ByteView body);

}  // namespace millrace::service
