// Any bytes as a PublishRequest to a broker (in simulated time, logs in memory), then any bytes as
// what a partition holds: the request is answered, each of its records has a position or an error,
// and what was appended is read back by the native API.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "broker/grpc/publish.h"
#include "broker/grpc/record_decoder.h"
#include "broker/kafka/testing/test_broker.h"
#include "common/check.h"

namespace {

using namespace millrace;

/// One broker for many inputs: what earlier ones appended does not change what later ones mean.
class Fixture {
 public:
  Fixture() { broker_.create_topic("t", 3); }

  void publish(const v1::PublishRequest& request) {
    v1::PublishResponse response;
    std::optional<common::Result<void>> outcome;
    grpc::publish(broker_.shard(), request, response,
                  [&outcome](common::Result<void> done) { outcome = std::move(done); });
    CHECK(broker_.world().run_until([&] { return outcome.has_value(); }), "no answer came");
    if (!outcome->ok()) {
      CHECK(!outcome->error().detail.empty());
      return;
    }
    CHECK(response.positions_size() == request.records_size());
    for (const v1::RecordPosition& position : response.positions())
      CHECK((position.offset() >= 0) == position.error().empty(), "{}", position.error());
    // What can be answered can be sent.
    CHECK(!response.SerializeAsString().empty());
  }

 private:
  kafka::testing::TestBroker broker_{{.shards = 1, .limits = {}, .config = {}}};
};

void decode(common::ByteView bytes, std::int64_t from) {
  std::vector<std::uint8_t> piece(bytes.begin(), bytes.end());
  // Storage gives out no batch with another offset than the one it had given it.
  if (!piece.empty()) piece[0] = 0;
  model::Offset place{from};
  grpc::UnpackedBytes unpacked;
  grpc::RecordDecoder decoder("t", unpacked);
  decoder.add(model::PartitionIndex{0}, place, common::Bytes::copy_of(piece));
  while (!decoder.empty()) {
    constexpr std::size_t kResponseBytes = 4096;
    const model::Offset before = place;
    v1::ReadResponse response;
    if (!decoder.take(kResponseBytes, response).ok()) return;
    CHECK(!decoder.empty() || unpacked.used() == 0);
    CHECK(decoder.empty() || response.records_size() > 0, "an answer without an end");
    CHECK(response.records_size() <= 1 || response.ByteSizeLong() <= kResponseBytes);
    for (const v1::Record& record : response.records())
      CHECK(record.offset() >= before.value() && record.offset() < place.value());
    CHECK(response.SerializeAsString().empty() == (response.records_size() == 0));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  if ((data[0] & 1) != 0) {
    decode({data + 1, size - 1}, data[0] >> 1);
    return 0;
  }
  v1::PublishRequest request;
  if (!request.ParseFromArray(data + 1, static_cast<int>(size - 1))) return 0;
  constexpr int kInputsPerBroker = 256;
  static std::optional<Fixture> fixture;
  static int inputs = 0;
  if (!fixture || ++inputs % kInputsPerBroker == 0) fixture.emplace();
  fixture->publish(request);
  return 0;
}
