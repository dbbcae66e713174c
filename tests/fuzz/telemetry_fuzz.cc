// Any bytes as what clients push of their metrics: refused, or series within the limits whose
// labels can be shown.
//
// The first byte chooses the codec, the second whether the rest is packed with it first, so that
// messages are reached without luck.
#include <cstddef>
#include <cstdint>

#include "broker/model/compression.h"
#include "broker/telemetry/clients.h"
#include "broker/telemetry/labels.h"
#include "common/check.h"

namespace {

using namespace millrace;

constexpr telemetry::Limits kLimits{
    .clients_max = 4, .series_per_client_max = 20, .series_max = 30};

void check_name(const telemetry::SeriesName& name) {
  CHECK(name.metric.size() <= telemetry::kLabelBytesMax);
  for (const auto& [label, value] : name.labels) {
    CHECK(label.front() >= 'a' && label.front() <= 'z', "label {}", label);
    CHECK(value.size() <= telemetry::kLabelBytesMax);
    for (const char c : value) CHECK(static_cast<std::uint8_t>(c) >= 0x20 && c != 0x7f);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto codec = static_cast<model::Compression>(data[0] % 5);
  common::Bytes metrics = common::Bytes::copy_of(common::ByteView{data + 2, size - 2});
  if ((data[1] & 1) != 0) metrics = model::compress(codec, metrics);
  telemetry::Clients clients(kLimits);
  auto everything = telemetry::Subscription::from({{"metrics", "*"}, {"interval.ms", "100"}});
  CHECK(everything.ok());
  clients.set_subscriptions({*everything});
  common::Instant now{std::chrono::seconds(1000)};
  for (std::uint8_t i = 1; i <= 6; ++i) {
    telemetry::Client client{.id = "fuzz"};
    client.instance.bytes[0] = i;
    const auto interest = clients.subscribe(client, now);
    CHECK(interest.ok(), "{}", interest.error().detail);
    static_cast<void>(clients.push(client,
                                   {.subscription_id = interest->id,
                                    .compression = static_cast<std::int8_t>(codec),
                                    .metrics = metrics},
                                   1 << 20, now));
    now += std::chrono::seconds(1);
  }
  CHECK(clients.size() == kLimits.clients_max);
  const auto readings = clients.readings(now);
  CHECK(readings.size() <= kLimits.series_max);
  for (const telemetry::Reading& reading : readings) check_name(*reading.name);
  CHECK(clients.readings(now + std::chrono::hours(1)).empty());
  return 0;
}
