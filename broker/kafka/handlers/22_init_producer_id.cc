// InitProducerId: identities of idempotent producers. Transactional ones are refused: this broker
// has no transactions.
#include "broker/kafka/handlers/answers.h"
#include "broker/service/producers.h"
#include "broker/wire/messages/init_producer_id.h"

namespace millrace::kafka {
namespace {

using Request = wire::InitProducerIdRequest;
using Response = wire::InitProducerIdResponse;

void refuse(Call<Request> call, ErrorCode code) {
  Response response;
  response.error_code = kafka_number(code);
  response.producer_id = -1;
  response.producer_epoch = -1;
  call.answer(response);
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  if (request.transactional_id.has_value()) {
    const bool empty = request.transactional_id->empty();
    return refuse(std::move(call),
                  empty ? ErrorCode::kInvalidRequest : ErrorCode::kUnsupportedVersion);
  }
  // An id without epoch, or the other way round, makes no sense (KIP-360).
  if ((request.producer_id < 0) != (request.producer_epoch < 0)) {
    return refuse(std::move(call), ErrorCode::kInvalidRequest);
  }
  service::Shard& shard = call.shard();
  service::init_producer_id(
      shard, [call = std::move(call)](common::Result<service::ProducerIdentity> made) mutable {
        if (!made.ok()) return refuse(std::move(call), made.error().code);
        Response response;
        response.producer_id = made->id.value();
        response.producer_epoch = made->epoch;
        call.answer(response);
      });
}

}  // namespace millrace::kafka
