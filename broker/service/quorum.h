// Use case: who votes on the metadata log, and how far it is.
#pragma once

#include <string_view>

#include "broker/service/shard.h"

namespace millrace::service {

/// The metadata log as its leader, which is its only voter, sees it.
struct Quorum {
  model::BrokerId leader;
  common::Uuid directory;
  model::Term epoch;
  model::Offset high_watermark;
  model::Offset log_end;
  common::Timestamp now;
};

/// Asks the first shard; answers on `here`'s loop. kShuttingDown.
void describe_quorum(Shard& here, common::Reply<common::Result<Quorum>> done);

}  // namespace millrace::service
