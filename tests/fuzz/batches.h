// each_batch(bytes, [](common::MutableByteView batch) { make_checksum_right(batch); return true;
// });
//
// Bytes that came from a fuzzer, as record batches as far as their lengths allow.
#pragma once

#include <vector>

#include "broker/model/batch.h"
#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::fuzz {

/// Hands over one batch after the other, until the length of one does not fit or `visit` answers
/// false.
template <typename Visit>
void each_batch(std::vector<std::uint8_t>& bytes, Visit visit) {
  for (std::size_t at = 0; at + model::kBatchHeaderBytes <= bytes.size();) {
    const common::MutableByteView rest = common::MutableByteView(bytes).subspan(at);
    const std::size_t size = model::BatchView::announced_size(rest);
    if (size < model::kBatchHeaderBytes || size > rest.size()) return;
    if (!visit(rest.first(size))) return;
    at += size;
  }
}

/// So that what is checked behind the checksum is reached.
inline void make_checksum_right(common::MutableByteView batch) {
  constexpr std::size_t kCrcAt = 17;
  common::store_big(batch.data() + kCrcAt, common::crc32c(batch.subspan(model::kBatchCrcStart)));
}

}  // namespace millrace::fuzz
