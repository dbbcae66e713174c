// ListPartitionReassignments: no partition is ever on its way to another broker.
#include "broker/kafka/handlers/answers.h"
#include "broker/wire/messages/list_partition_reassignments.h"

namespace millrace::kafka {

template <>
void handle(wire::ListPartitionReassignmentsRequest,
            Call<wire::ListPartitionReassignmentsRequest> call) {
  wire::ListPartitionReassignmentsResponse response;
  response.error_message.reset();
  call.answer(response);
}

}  // namespace millrace::kafka
