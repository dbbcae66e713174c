// Any bytes as the records of a batch, and as a snapshot of producers: an error, or records that
// build the same again.
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "broker/model/producer_state.h"
#include "broker/model/record.h"
#include "common/check.h"

namespace {

using namespace millrace;

void read_records(common::ByteView bytes, std::int32_t count) {
  model::RecordReader reader(bytes, count);
  model::BatchBuilder builder;
  for (std::int32_t index = 0;; ++index) {
    const auto record = reader.next();
    if (!record.ok()) return;
    if (!record->has_value()) {
      CHECK(index == count, "the reader stopped after {} of {}", index, count);
      break;
    }
    std::vector<model::HeaderView> headers;
    model::HeaderReader header_reader = (*record)->headers;
    const std::int32_t announced = header_reader.remaining();
    while (const auto header = header_reader.next()) headers.push_back(*header);
    CHECK(std::cmp_equal(headers.size(), announced), "a checked header could not be read");
    builder.append({.timestamp = common::Timestamp{index},
                    .key = (*record)->key,
                    .value = (*record)->value,
                    .headers = headers});
  }
  if (builder.count() == 0) return;
  const common::Bytes built = builder.build();
  const auto batch = model::BatchView::parse(built);
  CHECK(batch.ok());
  CHECK(model::survey_records(*batch, batch->payload()).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const common::ByteView bytes{data + 1, size - 1};
  read_records(bytes, data[0] % 16);
  model::ProducerTable table;
  if (table.restore(bytes).ok()) {
    model::ProducerTable copy;
    CHECK(copy.restore(table.serialise()).ok());
    CHECK(copy.entries() == table.entries());
  }
  return 0;
}
