// ApiVersions: lists exactly the version table, and the features in force.
#include "broker/kafka/handlers/18_api_versions.h"

#include <algorithm>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/features.h"
#include "broker/wire/messages/api_versions.h"

namespace millrace::kafka {
namespace {

// What KIP-511 allows in the name and version of a client's software.
bool is_software_name(const std::string& text) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (text.empty() || !alphanumeric(text.front()) || !alphanumeric(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
}

wire::ApiVersionsResponse::Api row_of(const wire::ApiVersionRow& row) {
  return {static_cast<std::int16_t>(row.key), row.announced_min, row.version_max};
}

void put_features(wire::ApiVersionsResponse& response) {
  // No level ever changes, so what was agreed on is the first agreement.
  response.finalized_features_epoch = 0;
  for (const Feature& feature : features()) {
    const std::string name(feature.name);
    response.supported_features.push_back({name, feature.level_min, feature.level_max});
    response.finalized_features.push_back({name, feature.level_max, feature.level_max});
  }
}

}  // namespace

wire::Chunks version_refusal(std::int32_t correlation_id) {
  wire::ApiVersionsResponse response;
  response.error_code = kafka_number(ErrorCode::kUnsupportedVersion);
  response.api_keys.push_back(
      row_of(*wire::find_api(static_cast<std::int16_t>(wire::ApiKey::kApiVersions))));
  return wire::encode_response(response, 0, correlation_id);
}

template <>
void handle(wire::ApiVersionsRequest request, Call<wire::ApiVersionsRequest> call) {
  wire::ApiVersionsResponse response;
  if (call.version() >= 3) {
    if (!is_software_name(request.client_software_name) ||
        !is_software_name(request.client_software_version)) {
      response.error_code = kafka_number(ErrorCode::kInvalidRequest);
      return call.answer(response);
    }
    call.set_client_software(request.client_software_name, request.client_software_version);
  }
  response.api_keys.reserve(wire::kApis.size());
  for (const wire::ApiVersionRow& row : wire::kApis) response.api_keys.push_back(row_of(row));
  put_features(response);
  call.answer(response);
}

}  // namespace millrace::kafka
