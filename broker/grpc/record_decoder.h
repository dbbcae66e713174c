// Stored batches as records of the native API.
#pragma once

#include "broker/model/batch.h"
#include "millrace/v1/subscriber.pb.h"

namespace millrace::grpc {

/// Adds the records of whole batches in `piece` at or above `from` to the response, decompressed,
/// without control records. Returns the offset after the last batch. kCorruptMessage,
/// kMessageTooLarge: a batch cannot be read.
common::Result<model::Offset> decode_records(common::ByteView piece, const std::string& topic,
                                             model::PartitionIndex partition, model::Offset from,
                                             v1::ReadResponse& response);

}  // namespace millrace::grpc
