// CRC-32C (Castagnoli), as record batches and our own files use it.
#pragma once

#include <cstdint>

#include "common/bytes.h"

namespace millrace::common {

/// The checksum of `bytes`, continued from `before` (the value for what came in front of them; 0 at
/// the start).
std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0);

}  // namespace millrace::common
