// Any bytes as what a client sends on a connection to a whole broker (in simulated time, logs in
// memory): it answers or closes the connection, gives all memory back, and serves the next client.
//
// The first byte chooses the form. Even: the rest is sent as it is. Odd: the rest is pieces {length
// (2 bytes, big endian), API key, version, body}, each sent as a frame with a right header, so that
// bodies are reached without luck.
#include <cstddef>
#include <cstdint>
#include <string>

#include "broker/kafka/testing/test_broker.h"
#include "broker/wire/messages/api_versions.h"
#include "common/check.h"
#include "common/endian.h"

namespace {

using namespace millrace;

/// Versions are counted from the lowest; of an API that is not known here any will do.
std::int16_t version_of(std::uint8_t key, std::uint8_t choice) {
  for (const wire::ApiVersionRow& row : wire::kApis) {
    if (static_cast<int>(row.key) != key) continue;
    const int versions = row.version_max - row.version_min + 1;
    return static_cast<std::int16_t>(row.version_min + choice % versions);
  }
  return choice;
}

std::string framed(common::ByteView data) {
  std::string bytes;
  while (data.size() >= 4) {
    const std::size_t length =
        std::min<std::size_t>(common::load_big<std::uint16_t>(data.data()), data.size() - 4);
    wire::RequestHeader header;
    header.request_api_key = data[2];
    header.request_api_version = version_of(data[2], data[3]);
    header.correlation_id = 1;
    header.client_id = "fuzz";
    wire::FrameWriter frame = wire::FrameWriter::request(header);
    frame.body().raw(data.data() + 4, length);
    bytes += frame.finish().joined().text();
    data = data.subspan(4 + length);
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  kafka::testing::TestBrokerOptions options;
  options.shards = 2;
  options.limits.memory_bytes_max = 1 << 20;
  kafka::testing::TestBroker broker(options);
  broker.create_topic("t", 2);
  const common::ByteView bytes{data + 1, size - 1};
  kafka::testing::Client client = broker.connect();
  client.send_bytes((data[0] & 1) == 0 ? common::as_text(bytes) : std::string_view(framed(bytes)));
  broker.world().run_for(std::chrono::seconds(1));
  client.end().shut();
  broker.world().run_for(std::chrono::seconds(1));
  CHECK(client.end().broker_closed(), "the connection outlived its client");
  const auto answer = broker.connect(1).call(wire::ApiVersionsRequest{}, 0);
  CHECK(answer.error_code == 0, "the next client was not served");
  broker.world().run_for(std::chrono::seconds(1));
  CHECK(broker.server(0).memory().used() == 0, "{} bytes are still counted",
        broker.server(0).memory().used());
  return 0;
}
