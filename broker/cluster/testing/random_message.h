// Messages of Raft as no replica would send them: every field is drawn.
#pragma once

#include "broker/raft/messages.h"
#include "common/random.h"

namespace millrace::cluster::testing {

model::PartitionKey random_key(common::Random& random);
/// From and to nobody.
raft::Message random_message(common::Random& random);
/// Every field but `from` and `to`.
bool same(const raft::Message& left, const raft::Message& right);

}  // namespace millrace::cluster::testing
