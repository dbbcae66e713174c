#include "common/crc32c.h"

#include <isa-l/crc.h>

namespace millrace::common {

std::uint32_t crc32c(ByteView bytes, std::uint32_t before) {
  // ISA-L takes an int length and neither inverts its input nor its output, as CRC-32C asks.
  std::uint32_t state = ~before;
  auto* data = const_cast<unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  while (left > 0) {
    const int step = left > (1U << 30) ? (1 << 30) : static_cast<int>(left);
    state = crc32_iscsi(data, step, state);
    data += step;
    left -= static_cast<std::size_t>(step);
  }
  return ~state;
}

}  // namespace millrace::common
