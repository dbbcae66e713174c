// ListTransactions: transactional ids are refused by InitProducerId, so there are none to list.
#include <algorithm>
#include <array>
#include <string_view>

#include "broker/kafka/handlers/answers.h"
#include "broker/wire/messages/list_transactions.h"

namespace millrace::kafka {
namespace {

constexpr std::array<std::string_view, 8> kStates = {
    "Empty",          "Ongoing",       "PrepareCommit",     "PrepareAbort",
    "CompleteCommit", "CompleteAbort", "PrepareEpochFence", "Dead"};

}  // namespace

template <>
void handle(wire::ListTransactionsRequest request, Call<wire::ListTransactionsRequest> call) {
  wire::ListTransactionsResponse response;
  for (std::string& state : request.state_filters) {
    if (std::find(kStates.begin(), kStates.end(), state) == kStates.end())
      response.unknown_state_filters.push_back(std::move(state));
  }
  call.answer(response);
}

}  // namespace millrace::kafka
