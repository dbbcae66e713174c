// Use case: append batches to partitions, whoever leads them.
#pragma once

#include "broker/service/produce.h"

namespace millrace::service {

/// As produce(), for clients that do not look for leaders themselves: what another broker leads is
/// brought there, once, and what nobody leads now is tried again until `limit`. A batch is tried
/// again only where that cannot write it twice: nothing was written, or it has a producer's
/// sequence. kRequestTimedOut: perhaps it was written, perhaps not.
void produce_anywhere(Shard& here, ProduceCommand command, common::Duration limit,
                      common::Reply<std::vector<ProduceOutcome>> done);

/// Serves the calls by which brokers ask each other for the above. Once, at the start.
void serve_produce(Shard& shard);

}  // namespace millrace::service
