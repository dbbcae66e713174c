// Any bytes as records of the metadata log, each behind its length: an image takes them all, and
// its snapshot makes an equal image.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "broker/metadata/image.h"
#include "common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  common::ByteView rest{data, size};
  metadata::Image image;
  while (!rest.empty()) {
    const std::size_t length = std::min<std::size_t>(rest[0], rest.size() - 1);
    const common::ByteView value = rest.subspan(1, length);
    rest = rest.subspan(1 + length);
    if (const auto record = metadata::decode(value); record.ok()) {
      const auto again = metadata::decode(metadata::encode(*record));
      CHECK(again.ok() && *again == *record, "{} changed on its way through bytes",
            metadata::describe(*record));
    }
    image.apply_bytes(value);
  }
  metadata::Image copy;
  for (const metadata::Record& record : image.snapshot()) {
    CHECK(copy.apply(record), "{}", copy.last_rejection());
  }
  CHECK(copy == image, "the snapshot lost something");
  return 0;
}
