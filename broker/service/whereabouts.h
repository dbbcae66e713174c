// Use case: where another broker listens, for one that does not know the metadata yet.
#pragma once

#include "broker/service/shard.h"

namespace millrace::service {

/// Asks the first shard of `asked`, another broker, where brokers reach `wanted`. Answers on
/// `first`'s loop. kBrokerIdNotRegistered: it does not know either; those of Neighbours::call().
void ask_whereabouts(Shard& first, model::BrokerId asked, model::BrokerId wanted,
                     common::Reply<common::Result<env::Endpoint>> done);

/// Serves such questions: with what the broker says itself, or else what the metadata says of it.
/// On the first shard, once.
void serve_whereabouts(Shard& first);

}  // namespace millrace::service
