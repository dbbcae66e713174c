// Errors of the table as gRPC statuses.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "broker/model/errors.h"

namespace millrace::grpc {

/// Trailing metadata with the name of the error in the error table.
inline constexpr const char* kErrorMetadata = "millrace-error";

/// The canonical status of a code, with `detail` (or the table's sentence when it is empty).
::grpc::Status to_status(model::ErrorCode code, const std::string& detail);
inline ::grpc::Status to_status(const common::Error& error) {
  return to_status(error.code, error.detail);
}

/// The code's Kafka name, as clients see it in `millrace-error` and in positions.
std::string error_name(model::ErrorCode code);

}  // namespace millrace::grpc
