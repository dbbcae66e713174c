// What members of groups ask and are told, as the bodies of calls between brokers:
// docs/formats/cluster.md.
#pragma once

#include "broker/coordinator/requests.h"
#include "common/bytes.h"
#include "common/result.h"

namespace millrace::service {

common::Bytes encode(const coordinator::ConsumerHeartbeat& request);
common::Bytes encode(const coordinator::ConsumerHeartbeatOutcome& outcome);
common::Bytes encode(const coordinator::OffsetCommit& request);
common::Bytes encode(const coordinator::OffsetCommitOutcome& outcome);
common::Bytes encode(const coordinator::OffsetFetch& request);
common::Bytes encode(const coordinator::OffsetFetchOutcome& outcome);

/// kCorruptMessage, kUnsupportedVersion. Safe on any bytes.
common::Result<void> decode(common::ByteView body, coordinator::ConsumerHeartbeat& request);
common::Result<void> decode(common::ByteView body, coordinator::ConsumerHeartbeatOutcome& outcome);
common::Result<void> decode(common::ByteView body, coordinator::OffsetCommit& request);
common::Result<void> decode(common::ByteView body, coordinator::OffsetCommitOutcome& outcome);
common::Result<void> decode(common::ByteView body, coordinator::OffsetFetch& request);
common::Result<void> decode(common::ByteView body, coordinator::OffsetFetchOutcome& outcome);

}  // namespace millrace::service
