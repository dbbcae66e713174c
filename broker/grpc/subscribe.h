// The Subscribe call: a member of a consumer group at the other end of a stream.
#pragma once

#include "broker/grpc/call.h"
#include "broker/grpc/record_decoder.h"
#include "millrace/v1/subscriber.grpc.pb.h"

namespace millrace::grpc {

/// The reactor of one call; it ends itself. `unpacked` must outlive the call.
::grpc::ServerBidiReactor<v1::SubscribeRequest, v1::SubscribeResponse>* subscribe(
    ::grpc::CallbackServerContext* context, service::Shard& shard, UnpackedBytes& unpacked);

}  // namespace millrace::grpc
