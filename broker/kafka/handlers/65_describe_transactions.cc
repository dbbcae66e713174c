// DescribeTransactions: transactional ids are refused by InitProducerId, so none is known.
#include "broker/kafka/handlers/answers.h"
#include "broker/wire/messages/describe_transactions.h"

namespace millrace::kafka {

template <>
void handle(wire::DescribeTransactionsRequest request,
            Call<wire::DescribeTransactionsRequest> call) {
  wire::DescribeTransactionsResponse response;
  for (std::string& id : request.transactional_ids) {
    auto& state = response.transaction_states.emplace_back();
    state.error_code =
        kafka_number(id.empty() ? ErrorCode::kInvalidRequest : ErrorCode::kTransactionalIdNotFound);
    state.transactional_id = std::move(id);
  }
  call.answer(response);
}

}  // namespace millrace::kafka
