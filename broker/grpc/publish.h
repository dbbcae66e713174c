// What a PublishRequest means: records to batches by partition, and outcomes back to positions.
#pragma once

#include "broker/service/produce.h"
#include "broker/service/shard.h"
#include "millrace/v1/publisher.pb.h"

namespace millrace::grpc {

/// Appends the request's records and fills the response; on the shard's loop. Makes the topic first
/// where that is allowed. An error means that nothing was appended. Request and response must live
/// until the reply.
void publish(service::Shard& here, const v1::PublishRequest& request, v1::PublishResponse& response,
             common::Reply<common::Result<void>> done);

}  // namespace millrace::grpc
