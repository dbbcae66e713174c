// AlterClientQuotas: refused. A quota that is kept and not enforced would be a lie.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/security.h"
#include "broker/wire/messages/alter_client_quotas.h"

namespace millrace::kafka {

template <>
void handle(wire::AlterClientQuotasRequest request, Call<wire::AlterClientQuotasRequest> call) {
  wire::AlterClientQuotasResponse response;
  for (auto& entry : request.entries) {
    auto& result = response.entries.emplace_back();
    put_error(result, ErrorCode::kInvalidRequest, std::string(kNoQuotas));
    for (auto& entity : entry.entity)
      result.entity.push_back({std::move(entity.entity_type), std::move(entity.entity_name)});
  }
  call.answer(response);
}

}  // namespace millrace::kafka
