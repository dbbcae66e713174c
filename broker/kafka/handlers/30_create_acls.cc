// CreateAcls: without an authorizer each rule is refused.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/security.h"
#include "broker/wire/messages/create_acls.h"

namespace millrace::kafka {

template <>
void handle(wire::CreateAclsRequest request, Call<wire::CreateAclsRequest> call) {
  wire::CreateAclsResponse response;
  for (std::size_t i = 0; i < request.creations.size(); ++i) {
    put_error(response.results.emplace_back(), ErrorCode::kSecurityDisabled,
              std::string(kNoAuthorizer));
  }
  call.answer(response);
}

}  // namespace millrace::kafka
