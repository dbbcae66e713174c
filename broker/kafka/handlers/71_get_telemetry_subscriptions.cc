// GetTelemetrySubscriptions (KIP-714): which of its metrics a client should push here.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/telemetry_client.h"
#include "broker/model/batch.h"
#include "broker/service/telemetry.h"
#include "broker/wire/messages/get_telemetry_subscriptions.h"

namespace millrace::kafka {
namespace {

using Request = wire::GetTelemetrySubscriptionsRequest;
using Response = wire::GetTelemetrySubscriptionsResponse;

Response respond(service::TelemetrySubscription granted) {
  using model::Compression;
  Response response;
  response.client_instance_id = granted.instance;
  response.subscription_id = granted.interest.id;
  for (const Compression codec :
       {Compression::kZstd, Compression::kLz4, Compression::kGzip, Compression::kSnappy})
    response.accepted_compression_types.push_back(static_cast<std::int8_t>(codec));
  response.push_interval_ms = static_cast<std::int32_t>(granted.interest.interval.count());
  response.telemetry_max_bytes = granted.bytes_max;
  // Sums since the start survive a lost push, and are what a scrape shows.
  response.delta_temporality = false;
  response.requested_metrics = std::move(granted.interest.metrics);
  return response;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  auto client = telemetry_client(call, request.client_instance_id);
  service::subscribe_telemetry(
      shard, std::move(client),
      [call = std::move(call)](common::Result<service::TelemetrySubscription> granted) mutable {
        if (granted.ok()) return call.answer(respond(std::move(*granted)));
        Response refused;
        refused.error_code = kafka_number(granted.error().code);
        call.answer(refused);
      });
}

}  // namespace millrace::kafka
