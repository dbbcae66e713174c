#include "broker/service/group_linger.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace millrace::service {
namespace {

/// A write costs as much as a dozen requests do.
constexpr std::uint32_t kEnough = 16;
constexpr std::chrono::milliseconds kWaitMax{4};
/// Nobody came for so many times the mean distance: the bunch is over.
constexpr int kQuietGaps = 3;
constexpr std::chrono::microseconds kQuietMin{500};
constexpr std::chrono::milliseconds kWindow{16};
/// As many as meet within half a millisecond: fewer would be kept waiting for little.
constexpr std::uint32_t kBusyCount = kWindow / kQuietMin;
constexpr std::uint32_t kWaitsPerJudgement = 8;
constexpr std::uint32_t kWorthwhileCount = 3 * kWaitsPerJudgement / 2;
constexpr std::chrono::seconds kRest{1};

}  // namespace

void GroupLinger::came(common::Instant now) {
  if (now - window_began_ >= kWindow) {
    const bool follows = now - window_began_ < 2 * kWindow;
    last_count_ = follows ? window_count_ : 0;
    window_count_ = 0;
    window_began_ = now;
  }
  ++window_count_;
  if (gathered_++ == 0) first_came_ = now;
  last_came_ = now;
}

bool GroupLinger::busy(common::Instant now) const {
  return last_count_ >= kBusyCount && now >= rests_until_;
}

common::Duration GroupLinger::wait(common::Instant now) {
  common::Instant until = first_came_;
  if (fixed_ms_ >= 0) {
    until += std::chrono::milliseconds(fixed_ms_);
  } else if (gathered_ < kEnough && (waits_ || busy(now))) {
    waits_ = true;
    // The window before may have been empty by now, and then nobody is waited for.
    const common::Duration gap = kWindow / std::max(last_count_, 1U);
    const common::Duration quiet = std::max<common::Duration>(kQuietGaps * gap, kQuietMin);
    until = std::min<common::Instant>(first_came_ + kWaitMax, last_came_ + quiet);
  }
  return std::max(until - now, common::Duration{});
}

void GroupLinger::went(common::Instant now) {
  const std::uint32_t gathered = std::exchange(gathered_, 0);
  if (!std::exchange(waits_, false)) return;
  waits_gathered_ += gathered;
  if (++waits_judged_ < kWaitsPerJudgement) return;
  waits_judged_ = 0;
  if (std::exchange(waits_gathered_, 0) < kWorthwhileCount) rests_until_ = now + kRest;
}

}  // namespace millrace::service
