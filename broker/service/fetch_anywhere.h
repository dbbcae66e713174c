// Use case: read batches of many partitions, whoever leads them.
#pragma once

#include "broker/service/fetch.h"

namespace millrace::service {

/// As fetch(), for readers that do not look for leaders themselves: what another broker leads is
/// read there. Each broker that leads some waits for news by itself; when the first has some, the
/// others are told to answer with what they have, so that nothing that was read is thrown away.
/// `bytes_max` is for each broker. The handle's cancel() is passed on, so a reader that goes leaves
/// nothing waiting on another broker. Partitions without a leader have an error: ask again a little
/// later.
std::shared_ptr<FetchHandle> fetch_anywhere(Shard& here, FetchCommand command,
                                            common::Reply<std::vector<FetchOutcome>> done);

/// Serves the calls by which brokers ask each other for the above. Once, at the start; the shard's
/// calls keep what is waiting.
void serve_fetch(Shard& shard);

}  // namespace millrace::service
