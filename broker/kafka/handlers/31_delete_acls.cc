// DeleteAcls: without an authorizer each filter is refused.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/security.h"
#include "broker/wire/messages/delete_acls.h"

namespace millrace::kafka {

template <>
void handle(wire::DeleteAclsRequest request, Call<wire::DeleteAclsRequest> call) {
  wire::DeleteAclsResponse response;
  for (std::size_t i = 0; i < request.filters.size(); ++i) {
    put_error(response.filter_results.emplace_back(), ErrorCode::kSecurityDisabled,
              std::string(kNoAuthorizer));
  }
  call.answer(response);
}

}  // namespace millrace::kafka
