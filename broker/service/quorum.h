// Use case: who votes on the metadata log, and how far it is.
#pragma once

#include "broker/service/group_report.h"

namespace millrace::service {

/// The metadata log as its leader sees it, and that leader's time. Answers on `here`'s loop.
/// kLeaderNotAvailable: nobody is known to lead it now; kShuttingDown ...
struct Quorum {
  GroupReport group;
  common::Timestamp now;
};
void describe_quorum(Shard& here, common::Reply<common::Result<Quorum>> done);

}  // namespace millrace::service
