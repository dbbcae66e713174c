// Any bytes decompressed by each codec: an error, or no more than the limit, which packs and
// unpacks to itself.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "broker/model/compression.h"
#include "common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  constexpr std::size_t kLimit = 1 << 16;
  if (size < 1) return 0;
  const auto codec = static_cast<model::Compression>(data[0] % 5);
  const auto plain = model::decompress(codec, {data + 1, size - 1}, kLimit);
  if (!plain.ok()) return 0;
  CHECK(plain->size() <= kLimit, "{} bytes came out", plain->size());
  const common::Bytes packed = model::compress(codec, *plain);
  const auto again = model::decompress(codec, packed, plain->size());
  CHECK(again.ok(), "{}", again.error().detail);
  CHECK(std::ranges::equal(again->view(), plain->view()));
  return 0;
}
