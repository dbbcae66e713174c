// Any bytes as a segment or its index: what passes the checks is what they promise, the rest is
// refused.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "broker/storage/index.h"
#include "broker/storage/segment_scan.h"
#include "tests/fuzz/batches.h"

namespace {

using namespace millrace;

// Makes checksums and base offsets right where the lengths allow, so that deeper checks are
// reached.
void make_plausible(std::vector<std::uint8_t>& bytes) {
  std::int64_t offset = 0;
  fuzz::each_batch(bytes, [&offset](common::MutableByteView bytes_of_one) {
    common::store_big(bytes_of_one.data(), offset);
    fuzz::make_checksum_right(bytes_of_one);
    const auto batch = model::BatchView::parse(bytes_of_one);
    if (!batch.ok()) return false;
    offset = batch->next_offset().value();
    return true;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::vector<std::uint8_t> bytes(data + 1, data + size);
  if ((data[0] & 1) != 0) make_plausible(bytes);
  const std::uint64_t beyond = data[0] >> 1;
  const std::string path = "f";
  for (const std::uint32_t generation : {0U, 1U}) {
    storage::Segment place{
        .end = model::Offset{1'000'000}, .size = bytes.size() + beyond, .generation = generation};
    const auto run = storage::verify_batches(bytes, {.segment = place, .path = path});
    if (!run.ok()) continue;
    CHECK(run->bytes <= bytes.size());
    CHECK((run->bytes == 0) == (run->end == model::Offset{0}));
    CHECK(generation == 0 || run->end <= place.end);
    place.size = run->bytes;
    const auto again = storage::verify_batches(common::ByteView(bytes).first(run->bytes),
                                               {.segment = place, .path = path});
    CHECK(again.ok() && again->bytes == run->bytes && again->end == run->end);
  }
  storage::Segment segment{.base = model::Offset{7}, .end = model::Offset{1000}, .size = 1 << 20};
  if (bytes.size() >= 40) {
    common::store_little<std::uint64_t>(bytes.data() + 24, (bytes.size() - 40) / 16);
    common::store_little<std::int64_t>(bytes.data() + 8, 7);
    common::store_little<std::uint64_t>(bytes.data() + 16, segment.size);
    common::store_little(bytes.data() + 32, common::crc32c(common::ByteView(bytes).subspan(40)));
    common::store_little(bytes.data() + 36, common::crc32c(common::ByteView(bytes).first(36)));
  }
  if (const auto index = storage::SegmentIndex::decode(bytes, segment))
    CHECK(index->encode(segment) == bytes);
  return 0;
}
