// DescribeClientQuotas: there are no quotas; a filter that makes no sense is refused all the same.
#include <set>
#include <string_view>

#include "broker/kafka/handlers/answers.h"
#include "broker/wire/messages/describe_client_quotas.h"

namespace millrace::kafka {
namespace {

using Request = wire::DescribeClientQuotasRequest;

constexpr std::int8_t kMatchExact = 0;
constexpr std::int8_t kMatchSpecified = 2;

common::Result<void> check_component(const Request::Component& component) {
  const std::string& type = component.entity_type;
  if (type.empty()) return common::Error{ErrorCode::kInvalidRequest, "Invalid empty entity type."};
  if (type != "user" && type != "client-id" && type != "ip") {
    return common::Error{ErrorCode::kUnsupportedVersion,
                         fmt::format("Unsupported entity type {}", type)};
  }
  if (component.match_type < kMatchExact || component.match_type > kMatchSpecified) {
    return common::Error{ErrorCode::kInvalidRequest,
                         fmt::format("Unknown match type {}", component.match_type)};
  }
  if ((component.match_type == kMatchExact) != component.match.has_value()) {
    return common::Error{ErrorCode::kInvalidRequest,
                         fmt::format("Match type {} does not go with {} name", component.match_type,
                                     component.match ? "a" : "no")};
  }
  return common::ok();
}

common::Result<void> check(const Request& request) {
  std::set<std::string_view> types;
  for (const Request::Component& component : request.components) {
    TRY(check_component(component));
    if (!types.insert(component.entity_type).second) {
      return common::Error{ErrorCode::kInvalidRequest,
                           fmt::format("Entity type {} cannot appear more than once in the filter.",
                                       component.entity_type)};
    }
  }
  if (types.contains("ip") && types.size() > 1) {
    return common::Error{ErrorCode::kInvalidRequest,
                         "Invalid entity filter component combination. IP filter component should "
                         "not be used with user or clientId filter component."};
  }
  return common::ok();
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  wire::DescribeClientQuotasResponse response;
  response.error_message.reset();
  if (const auto checked = check(request); !checked.ok()) {
    put_error(response, checked.error().code, checked.error().detail);
    response.entries.reset();
  }
  call.answer(response);
}

}  // namespace millrace::kafka
