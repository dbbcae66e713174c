#include "broker/storage/epoch_check.h"

#include <algorithm>

namespace millrace::storage {

EpochCheck::EpochCheck(std::span<const TermStart> starts, Offset from) : ahead_(starts) {
  const auto behind = std::ranges::upper_bound(starts, from, {}, &TermStart::offset);
  const auto passed = static_cast<std::size_t>(behind - starts.begin());
  if (passed > 0) term_ = starts[passed - 1].term;
  ahead_ = starts.subspan(passed);
}

bool EpochCheck::passes(const model::BatchView& batch) {
  while (!ahead_.empty() && ahead_.front().offset <= batch.base_offset()) {
    term_ = ahead_.front().term;
    ahead_ = ahead_.subspan(1);
  }
  return !term_.has_value() || *term_ == batch.leader_epoch();
}

}  // namespace millrace::storage
