// Any bytes as a segment file in front of `millctl log dump`: lines without end of line, and a
// summary that agrees with them. The first byte chooses the form and whether checksums are made
// right.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cli/log_dump.h"
#include "tests/fuzz/batches.h"

namespace {

using namespace millrace;

void make_checksums_right(std::vector<std::uint8_t>& bytes) {
  fuzz::each_batch(bytes, [](common::MutableByteView batch) {
    fuzz::make_checksum_right(batch);
    return true;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::vector<std::uint8_t> bytes(data + 1, data + size);
  if ((data[0] & 4) != 0) make_checksums_right(bytes);
  const cli::DumpOptions options{.records = (data[0] & 1) != 0,
                                 .json = (data[0] & 2) != 0,
                                 .plain_bytes_max = std::size_t{1} << 20};
  std::uint64_t lines = 0;
  const cli::DumpSummary summary =
      cli::dump_segment(bytes, options, [&lines](std::string_view) { ++lines; });
  CHECK(lines >= summary.batches, "{} lines for {} batches", lines, summary.batches);
  CHECK(summary.unwritten_bytes <= bytes.size());
  CHECK(summary.batches * model::kBatchHeaderBytes <= bytes.size());
  return 0;
}
