// The error table as types. Both front ends translate through it and nothing else.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/result.h"

namespace millrace::model {

using common::Error;
using common::Result;

#define ERROR(name, number, kafka_name, retriable, grpc, meaning) name = number,
/// Codes of errors.def. Numbers below 10000 equal Kafka's on the wire.
enum class ErrorCode : short {
#include "broker/model/errors.def"
};
#undef ERROR

/// The canonical gRPC status codes, by their numbers, without gRPC's headers.
enum class GrpcStatus : std::uint8_t {
  kOk = 0,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// One row of the table.
struct ErrorRow {
  ErrorCode code;
  std::string_view kafka_name;
  bool retriable;
  GrpcStatus grpc;
  std::string_view meaning;
};

/// The row of a code; kUnknownServerError's for a number that is not in the table.
const ErrorRow& error_row(ErrorCode code);

/// The number that a Kafka response carries for this code.
std::int16_t kafka_number(ErrorCode code);

/// An error with the table's own sentence as its text.
Error error(ErrorCode code);

}  // namespace millrace::model
