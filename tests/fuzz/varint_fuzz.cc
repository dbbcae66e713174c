// Any bytes read as a varint give a value that writes back to the shortest form of itself, or
// nothing.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/check.h"
#include "common/varint.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::common;
  ByteView view{data, size};
  while (!view.empty()) {
    const std::size_t before = view.size();
    const auto value = read_varint(view);
    if (!value) break;
    CHECK(view.size() < before, "a value was read from no bytes");
    std::uint8_t buffer[kVarintBytesMax];
    const std::size_t written = write_varint(buffer, *value);
    CHECK(written <= before - view.size(), "the shortest form is longer than what was read");
    ByteView again{buffer, written};
    CHECK(read_varint(again) == value, "written and read back differ");
  }
  return 0;
}
