// linger.came(now);   ...   if (linger.wait(now) == 0) { flush(); linger.went(now); }
//
// How long the records of a shard's groups wait for others, so that they share one write to the
// disk.
#pragma once

#include <cstdint>

#include "common/clock.h"

namespace millrace::service {

/// Adaptive as long as nobody sets a time: while so many come that several go together each time,
/// records wait for others up to four milliseconds, but no longer than others keep coming, nor than
/// enough are there for a write to be worth its cost; and not at all otherwise. Clients that commit
/// again as soon as they are answered come in a bunch, and wait no longer than the bunch takes. One
/// such client alone looks busy too, but nobody joins it: this is noticed after a few waits, and
/// tried again only after a while.
class GroupLinger {
 public:
  /// group.coordinator.append.linger.ms. -1: adaptive.
  void set(std::int32_t ms) { fixed_ms_ = ms; }
  /// Some request's records came.
  void came(common::Instant now);
  /// How much longer those that came since the last went() should wait, if nobody else comes. 0:
  /// they should go now. Requires that some came.
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
  common::Instant first_came_{};  // of these
  common::Instant last_came_{};
  bool waits_ = false;  // for the sake of the adaptive rule
  std::uint32_t waits_judged_ = 0;
  std::uint32_t waits_gathered_ = 0;
  common::Instant rests_until_{};
};

}  // namespace millrace::service
