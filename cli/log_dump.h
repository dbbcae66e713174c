// What a segment file holds, as text. Works on the file alone: no broker is asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/bytes.h"
#include "common/function.h"

namespace millrace::cli {

struct DumpOptions {
  /// Each record below its batch.
  bool records = false;
  /// One JSON object per batch instead of text.
  bool json = false;
  /// A batch whose records unpack to more is damage. The default is more than any batch that a
  /// broker accepts unpacks to.
  std::size_t plain_bytes_max = std::size_t{1} << 30;
};

struct DumpSummary {
  std::uint64_t batches = 0;
  std::uint64_t records = 0;
  /// Zeros at the end: space that no batch was written to yet.
  std::uint64_t unwritten_bytes = 0;
  /// Empty: every byte makes sense. Else what does not, and where; what follows it was not looked
  /// at.
  std::string damage;
};

/// Hands `print` one line after the other (without newline). A batch whose checksum is wrong is
/// printed with crc=wrong and is damage, but does not end the walk: its length still leads to the
/// next one.
DumpSummary dump_segment(common::ByteView file, const DumpOptions& options,
                         common::Function<void(std::string_view)> print);

}  // namespace millrace::cli
