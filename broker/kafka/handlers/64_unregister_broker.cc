// UnregisterBroker (KIP-500): the same as `millctl broker decommission`. Unlike Kafka, which
// forgets brokers that still have replicas, it is refused until a drained broker has given all of
// them away.
#include "broker/kafka/handlers/answers.h"
#include "broker/service/broker_states.h"
#include "broker/wire/messages/unregister_broker.h"

namespace millrace::kafka {

template <>
void handle(wire::UnregisterBrokerRequest request, Call<wire::UnregisterBrokerRequest> call) {
  service::Shard& shard = call.shard();
  service::decommission_broker(
      shard, model::BrokerId{request.broker_id}, std::nullopt,
      [call = std::move(call)](const common::Result<metadata::Receipt>& receipt) mutable {
        wire::UnregisterBrokerResponse response;
        response.error_message.reset();
        if (!receipt.ok()) put_error(response, receipt.error().code, receipt.error().detail);
        call.answer(response);
      });
}

}  // namespace millrace::kafka
