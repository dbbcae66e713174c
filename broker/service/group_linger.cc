#include "broker/service/group_linger.h"

#include <chrono>
#include <utility>

namespace millrace::service {
namespace {

constexpr std::chrono::microseconds kWait{500};
constexpr std::chrono::milliseconds kWindow{16};
/// As many as make two in each wait, with the one that begins it: fewer would seldom meet.
constexpr std::uint32_t kBusyCount = kWindow / kWait;
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
  ++gathered_;
}

bool GroupLinger::busy(common::Instant now) const {
  return last_count_ >= kBusyCount && now >= rests_until_;
}

common::Duration GroupLinger::wait(common::Instant now) {
  if (fixed_ms_ >= 0) return std::chrono::milliseconds(fixed_ms_);
  waits_ = busy(now);
  return waits_ ? common::Duration(kWait) : common::Duration{};
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
