// AlterUserScramCredentials: refused, user by user; there is nothing that a credential would open.
#include <map>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/security.h"
#include "broker/wire/messages/alter_user_scram_credentials.h"

namespace millrace::kafka {

template <>
void handle(wire::AlterUserScramCredentialsRequest request,
            Call<wire::AlterUserScramCredentialsRequest> call) {
  struct Refusal {
    ErrorCode code;
    std::string_view why;
  };
  std::map<std::string, Refusal> users;
  for (const auto& deletion : request.deletions) {
    users[deletion.name] = {ErrorCode::kResourceNotFound,
                            "Attempt to delete a user credential that does not exist"};
  }
  for (const auto& upsertion : request.upsertions)
    users[upsertion.name] = {ErrorCode::kUnsupportedSaslMechanism, kNoScram};
  wire::AlterUserScramCredentialsResponse response;
  for (const auto& [user, refusal] : users) {
    auto& result = response.results.emplace_back();
    result.user = user;
    put_error(result, refusal.code, std::string(refusal.why));
  }
  call.answer(response);
}

}  // namespace millrace::kafka
