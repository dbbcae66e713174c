#include "broker/grpc/status.h"

namespace millrace::grpc {

::grpc::Status to_status(model::ErrorCode code, const std::string& detail) {
  const model::ErrorRow& row = model::error_row(code);
  const auto number = static_cast<::grpc::StatusCode>(row.grpc);
  return {number, detail.empty() ? std::string(row.meaning) : detail};
}

std::string error_name(model::ErrorCode code) {
  return std::string(model::error_row(code).kafka_name);
}

}  // namespace millrace::grpc
