#include "broker/replica/catch_up.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/check.h"

namespace millrace::replica {
namespace {

// Time in which nothing was read may be used up to this: some large reads, then a pause.
constexpr common::Duration kBurst = std::chrono::milliseconds(100);

}  // namespace

CatchUp::CatchUp(env::Loop& loop, CatchUpLimits limits) : loop_(loop), limits_(limits) {
  CHECK(limits_.reads_max > 0);
}

CatchUp::~CatchUp() {
  if (timer_ != env::TimerId::kNone) loop_.cancel(timer_);
}

void CatchUp::enter(env::Task begin) {
  waiting_.push_back(std::move(begin));
  go_on();
}

void CatchUp::leave(std::uint64_t bytes) {
  CHECK(reading_ > 0, "nothing is being read");
  --reading_;
  bytes_ += bytes;
  if (limits_.bytes_per_second > 0) {
    const std::chrono::duration<double> cost(static_cast<double>(bytes) /
                                             static_cast<double>(limits_.bytes_per_second));
    const common::Instant from = std::max(free_at_, loop_.clock().now() - kBurst);
    free_at_ = from + std::chrono::duration_cast<common::Duration>(cost);
  }
  go_on();
}

void CatchUp::set_limits(CatchUpLimits limits) {
  CHECK(limits.reads_max > 0);
  if (limits == limits_) return;
  const common::Instant now = loop_.clock().now();
  if (free_at_ > now && limits.bytes_per_second > 0) {
    const double slower = static_cast<double>(limits_.bytes_per_second) /
                          static_cast<double>(limits.bytes_per_second);
    const std::chrono::duration<double> left(free_at_ - now);
    free_at_ = now + std::chrono::duration_cast<common::Duration>(left * slower);
  } else {
    free_at_ = {};
  }
  limits_ = limits;
  if (timer_ != env::TimerId::kNone) loop_.cancel(std::exchange(timer_, env::TimerId::kNone));
  go_on();
}

void CatchUp::go_on() {
  // One that begins may end at once, or enter again.
  if (std::exchange(going_on_, true)) return;
  const common::Instant now = loop_.clock().now();
  while (!waiting_.empty() && reading_ < limits_.reads_max && free_at_ <= now) {
    env::Task begin = std::move(waiting_.front());
    waiting_.pop_front();
    ++reading_;
    begin();
  }
  going_on_ = false;
  const bool must_wait = !waiting_.empty() && free_at_ > now;
  if (!must_wait || timer_ != env::TimerId::kNone) return;
  timer_ = loop_.after(free_at_ - now, [this] {
    timer_ = env::TimerId::kNone;
    go_on();
  });
}

}  // namespace millrace::replica
