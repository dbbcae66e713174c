#include "broker/model/errors.h"

#include <algorithm>
#include <array>
#include <string>

namespace millrace::model {
namespace {

#define ERROR(name, number, kafka_name, retriable, grpc, meaning) \
  ErrorRow{ErrorCode::name, #kafka_name, retriable, GrpcStatus::grpc, meaning},
constexpr std::array kRows = {
#include "broker/model/errors.def"
};
#undef ERROR

constexpr int kFirstOwnNumber = 10000;

static_assert(std::is_sorted(kRows.begin(), kRows.end(),
                             [](const ErrorRow& a, const ErrorRow& b) { return a.code < b.code; }),
              "error_row() searches by halves");

}  // namespace

const ErrorRow& error_row(ErrorCode code) {
  const auto row = std::lower_bound(kRows.begin(), kRows.end(), code,
                                    [](const ErrorRow& a, ErrorCode b) { return a.code < b; });
  return row != kRows.end() && row->code == code ? *row : kRows.front();
}

std::int16_t kafka_number(ErrorCode code) {
  if (static_cast<int>(code) < kFirstOwnNumber) return static_cast<std::int16_t>(code);
  const std::string_view name = error_row(code).kafka_name;
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const ErrorRow& candidate) {
    return candidate.kafka_name == name;
  });
  return static_cast<std::int16_t>(row->code);
}

Error error(ErrorCode code) {
  return Error{code, std::string(error_row(code).meaning)};
}

}  // namespace millrace::model
