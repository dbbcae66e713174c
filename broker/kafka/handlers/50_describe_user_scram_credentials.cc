// DescribeUserScramCredentials: no user has any.
#include "broker/kafka/handlers/answers.h"
#include "broker/wire/messages/describe_user_scram_credentials.h"

namespace millrace::kafka {

template <>
void handle(wire::DescribeUserScramCredentialsRequest request,
            Call<wire::DescribeUserScramCredentialsRequest> call) {
  wire::DescribeUserScramCredentialsResponse response;
  response.error_message.reset();
  if (!request.users.has_value()) return call.answer(response);
  Occurrences<std::string> named;
  for (const auto& user : *request.users) named.add(user.name);
  std::unordered_map<std::string, bool> answered;
  for (const auto& user : *request.users) {
    if (!answered.emplace(user.name, true).second) continue;
    auto& result = response.results.emplace_back();
    result.user = user.name;
    if (named.repeated(user.name)) {
      put_error(result, ErrorCode::kDuplicateResource,
                fmt::format("Cannot describe SCRAM credentials for the same user twice in a single "
                            "request: {}",
                            user.name));
    } else {
      put_error(
          result, ErrorCode::kResourceNotFound,
          fmt::format("Attempt to describe a user credential that does not exist: {}", user.name));
    }
  }
  call.answer(response);
}

}  // namespace millrace::kafka
