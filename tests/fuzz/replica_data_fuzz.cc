// Any bytes as what comes from another replica, or as the state that a replica left: refused, or
// batches that lie one behind the other, or a state that is written back as it was read. An odd
// first byte makes the checksum of a state right, so that what lies behind it is reached.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "broker/replica/append_data.h"
#include "broker/replica/hard_state_codec.h"
#include "common/crc32c.h"
#include "common/endian.h"

namespace {

using namespace millrace;
using model::Offset;

void read_state(common::Bytes bytes, bool seal) {
  if (seal && bytes.size() >= 4) {
    const std::size_t body = bytes.size() - 4;
    common::store_little(bytes.mutable_data() + body, common::crc32c(bytes.view().first(body)));
  }
  const auto state = replica::decode_state(bytes);
  if (state.ok()) CHECK(replica::decode_state(replica::encode(*state)).value() == *state);
}

void read_data(const common::Bytes& bytes) {
  const std::vector<common::Bytes> data{bytes};
  const raft::Append append{.prev = {.term = model::Term{3}, .offset = Offset{5}},
                            .term = model::Term{3},
                            .to = Offset{40},
                            .bytes = static_cast<std::uint32_t>(bytes.size()),
                            .commit = Offset{30}};
  if (replica::fault_of(append, data, {append.prev.offset}).has_value()) return;
  Offset next = append.prev.offset;
  for (const common::Bytes& piece :
       replica::pieces_of(data, {append.prev.offset, append.to}, append.term)) {
    for (std::size_t at = 0; at < piece.size();) {
      const auto batch = model::BatchView::parse(piece.view().subspan(at)).value();
      CHECK(batch.base_offset() == next && batch.crc_matches());
      next = batch.next_offset();
      at += batch.size();
    }
  }
  CHECK(next == append.to);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const common::Bytes rest = common::Bytes::copy_of(common::ByteView{data + 1, size - 1});
  if (data[0] < 128) {
    read_state(rest, (data[0] & 1) != 0);
  } else {
    read_data(rest);
  }
  return 0;
}
