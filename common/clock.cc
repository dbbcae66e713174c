#include "common/clock.h"

#include <time.h>

namespace millrace::common {
namespace {

std::chrono::nanoseconds read_clock(clockid_t id) {
  timespec time{};
  clock_gettime(id, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

Instant SystemClock::now() const {
  return Instant{read_clock(CLOCK_MONOTONIC)};
}

Timestamp SystemClock::wall() const {
  return Timestamp{
      std::chrono::duration_cast<std::chrono::milliseconds>(read_clock(CLOCK_REALTIME)).count()};
}

}  // namespace millrace::common
