// PushTelemetry (KIP-714): a client's own metrics.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/telemetry_client.h"
#include "broker/service/telemetry.h"
#include "broker/wire/messages/push_telemetry.h"

namespace millrace::kafka {

template <>
void handle(wire::PushTelemetryRequest request, Call<wire::PushTelemetryRequest> call) {
  service::Shard& shard = call.shard();
  auto client = telemetry_client(call, request.client_instance_id);
  service::push_telemetry(shard, std::move(client),
                          {.subscription_id = request.subscription_id,
                           .terminating = request.terminating,
                           .compression = request.compression_type,
                           .metrics = std::move(request.metrics)},
                          [call = std::move(call)](const common::Result<void>& pushed) mutable {
                            wire::PushTelemetryResponse response;
                            response.error_code =
                                kafka_number(pushed.ok() ? ErrorCode::kNone : pushed.error().code);
                            call.answer(response);
                          });
}

}  // namespace millrace::kafka
