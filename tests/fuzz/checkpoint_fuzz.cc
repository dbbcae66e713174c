// Any bytes as a shard's checkpoint: refused, or logs whose segments join and whose numbers can be
// trusted. An odd first byte puts the bytes behind a right front and in front of a right checksum,
// so that what lies between is reached without luck.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "broker/storage/checkpoint_file.h"
#include "common/crc32c.h"

namespace {

using namespace millrace;

constexpr std::uint32_t kShard = 3;

void check_log(const storage::CheckpointLog& log, std::uint32_t last_number) {
  CHECK(log.number.value() >= 1 && log.number.value() <= last_number);
  const auto& segments = log.state.segments;
  CHECK(!segments.empty());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    CHECK(segments[i].base <= segments[i].end);
    CHECK((segments[i].size == 0) == (segments[i].base == segments[i].end));
    CHECK(i == 0 || segments[i - 1].end == segments[i].base, "a gap in front of segment {}", i);
    CHECK(!segments[i].compacted() || segments[i].finished);
  }
  CHECK(segments.front().base <= log.state.start && log.state.start <= segments.back().end);
  CHECK(log.state.producers.at <= segments.back().end);
  CHECK(log.state.replica_state.size() <= storage::kStateBytesMax);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const common::ByteView rest{data + 1, size - 1};
  storage::ByteWriter out;
  if ((data[0] & 1) != 0) {
    out.put(std::uint64_t{0x315450435f524c4dULL});  // docs/formats/checkpoint.md
    const std::uint32_t older = (data[0] & 2) != 0 ? 2 : 1;
    out.put((data[0] & 4) != 0 ? storage::kCheckpointVersion : older);
    out.put(kShard);
    out.raw(rest);
    out.put(common::crc32c(out.view()));
  } else {
    out.raw(rest);
  }
  const auto checkpoint = storage::read_checkpoint(out.view(), kShard);
  if (!checkpoint.ok()) {
    CHECK(!checkpoint.error().detail.empty());
    return 0;
  }
  CHECK(checkpoint->shard == kShard && checkpoint->position.file_sequence > 0);
  for (const storage::CheckpointLog& log : checkpoint->logs)
    check_log(log, checkpoint->last_number);
  return 0;
}
