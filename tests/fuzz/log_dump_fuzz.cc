// Any bytes as a segment file in front of `millctl log dump`: lines without end of line, and a
// summary that agrees with them. The first byte chooses the form and whether checksums are made
// right.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "broker/model/batch.h"
#include "cli/log_dump.h"
#include "common/crc32c.h"
#include "common/endian.h"

namespace {

using namespace millrace;

constexpr std::size_t kCrcAt = 17;

void make_checksums_right(std::vector<std::uint8_t>& bytes) {
  for (std::size_t at = 0; at + model::kBatchHeaderBytes <= bytes.size();) {
    const common::ByteView rest = common::ByteView(bytes).subspan(at);
    const std::size_t size = model::BatchView::announced_size(rest);
    if (size < model::kBatchHeaderBytes || size > rest.size()) return;
    common::store_big(
        bytes.data() + at + kCrcAt,
        common::crc32c(rest.subspan(model::kBatchCrcStart, size - model::kBatchCrcStart)));
    at += size;
  }
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
