// const common::Duration wait = linger.wait(now);   ...   linger.went(now);
//
// How long the records of a shard's groups wait for others, so that they share one write to the
// disk.
#pragma once

#include <cstdint>

#include "common/clock.h"

namespace millrace::service {

/// Adaptive as long as nobody sets a time: records wait for half a millisecond while so many come
/// that several go together each time, and not at all otherwise. One client that commits again as
/// soon as it is answered looks busy too, but nobody joins it: this is noticed after a few waits,
/// and tried again only after a while.
class GroupLinger {
 public:
  /// group.coordinator.append.linger.ms. -1: adaptive.
  void set(std::int32_t ms) { fixed_ms_ = ms; }
  /// Some request's records came.
  void came(common::Instant now);
  /// How long to wait from the first records of a batch on. After came() for these.
  common::Duration wait(common::Instant now);
  /// What came until now has gone to the log.
  void went(common::Instant now);

 private:
  bool busy(common::Instant now) const;

  std::int32_t fixed_ms_ = -1;
  common::Instant window_began_{};
  std::uint32_t window_count_ = 0;
  std::uint32_t last_count_ = 0;  // of the window before
  std::uint32_t gathered_ = 0;    // came since the last went()
  bool waits_ = false;            // for the sake of the adaptive rule
  std::uint32_t waits_judged_ = 0;
  std::uint32_t waits_gathered_ = 0;
  common::Instant rests_until_{};
};

}  // namespace millrace::service
