// Metrics of clients, as scripts push them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "broker/kafka/testing/scripted_client.h"
#include "broker/model/compression.h"
#include "broker/telemetry/testing/otlp_message.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/get_telemetry_subscriptions.h"
#include "broker/wire/messages/push_telemetry.h"

namespace millrace::kafka::testing {

void ScriptedClient::add_telemetry_rows(std::map<std::string, Row>& table) {
  using Self = ScriptedClient;
  table["subscribe"] = row<wire::GetTelemetrySubscriptionsRequest>(&Self::subscribe);
  table["push"] = row<wire::PushTelemetryRequest>(&Self::push);
  // No API of their own: time passes, and what all shards would show.
  table["readings"] = row<wire::PushTelemetryRequest>(&Self::readings);
  table["wait"] = row<wire::PushTelemetryRequest>(&Self::wait);
}

/// subscribe [new]: under the identity that the first answer gave, or a new one.
std::string ScriptedClient::subscribe(const Command& command, std::int16_t version) {
  if (command.value("as")) instance_ = {};
  const auto response = client_->call(wire::GetTelemetrySubscriptionsRequest{instance_}, version);
  if (response.error_code != 0) return shown(response.error_code) + "\n";
  const bool same = instance_ == response.client_instance_id;
  instance_ = response.client_instance_id;
  subscription_ = response.subscription_id;
  return fmt::format("NONE identity={} every={}ms bytes={} delta={} codecs=[{}] metrics=[{}]\n",
                     instance_.is_zero() ? "none"
                     : same              ? "same"
                                         : "new",
                     response.push_interval_ms, response.telemetry_max_bytes,
                     response.delta_temporality,
                     fmt::join(response.accepted_compression_types, " "),
                     fmt::join(response.requested_metrics, " "));
}

/// push gauge:NAME=VALUE sum:NAME=VALUE delta:NAME=VALUE topic=T codec=zstd last=yes id=N raw=TEXT
std::string ScriptedClient::push(const Command& command, std::int16_t version) {
  telemetry::testing::OtlpMessage message;
  telemetry::testing::Labels labels;
  if (const auto topic = command.value("topic")) labels.emplace_back("topic", *topic);
  for (const auto& [name, value] : pairs(command, "gauge"))
    message.gauge(name, std::stod(value), labels);
  for (const auto& [name, value] : pairs(command, "sum"))
    message.sum(name, std::stod(value), false, labels);
  for (const auto& [name, value] : pairs(command, "delta"))
    message.sum(name, std::stod(value), true, labels);
  common::Bytes bytes = message.bytes();
  if (const auto raw = command.value("raw")) bytes = common::Bytes::copy_of(*raw);
  const auto codec = model::parse_compression(command.value("codec").value_or("uncompressed"));
  wire::PushTelemetryRequest request;
  request.client_instance_id = command.value("reserved") ? common::Uuid{} : instance_;
  request.subscription_id = static_cast<std::int32_t>(number(command, "id", subscription_));
  request.terminating = command.value("last").has_value();
  request.compression_type =
      static_cast<std::int8_t>(number(command, "number", static_cast<std::int64_t>(*codec)));
  request.metrics = model::compress(*codec, bytes);
  return shown(client_->call(request, version).error_code) + "\n";
}

std::string ScriptedClient::readings(const Command&, std::int16_t) {
  std::vector<std::string> lines;
  for (service::Shard* shard : broker_->shard().peers()) {
    for (const telemetry::Reading& reading : shard->telemetry().readings(shard->clock().now())) {
      std::string line = reading.is_total ? "total" : "gauge";
      for (const auto& [label, value] : reading.name->labels) {
        if (label == "client_instance_id") continue;
        line += fmt::format(" {}={}", label, value.empty() ? "''" : value);
      }
      lines.push_back(fmt::format("{} {}\n", line, reading.value));
    }
  }
  return lines.empty() ? "none\n" : fmt::format("{}", fmt::join(lines, ""));
}

std::string ScriptedClient::wait(const Command& command, std::int16_t) {
  broker_->world().run_for(std::chrono::milliseconds(number(command, "ms", 1000)));
  return "";
}

}  // namespace millrace::kafka::testing
