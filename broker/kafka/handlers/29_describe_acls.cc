// DescribeAcls: there is no authorizer, so the answer is Kafka's for that.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/security.h"
#include "broker/wire/messages/describe_acls.h"

namespace millrace::kafka {

template <>
void handle(wire::DescribeAclsRequest, Call<wire::DescribeAclsRequest> call) {
  wire::DescribeAclsResponse response;
  put_error(response, ErrorCode::kSecurityDisabled, std::string(kNoAuthorizer));
  call.answer(response);
}

}  // namespace millrace::kafka
