// Time comes in through a Clock: the machine's in production, a hand-driven one in tests and
// simulation.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/id.h"

namespace millrace::common {

/// Monotonic time, for timeouts and measurements. Its zero has no meaning.
struct MonotonicEpoch {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicEpoch>;
  static constexpr bool is_steady = true;
};
using Instant = MonotonicEpoch::time_point;
using Duration = MonotonicEpoch::duration;

/// Wall-clock time in milliseconds since 1970-01-01 UTC: the unit of record timestamps. May jump.
struct TimestampTag {};
using Timestamp = Number<TimestampTag, std::int64_t>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual Timestamp wall() const = 0;
};

/// The machine's clocks. Thread-safe.
class SystemClock final : public Clock {
 public:
  Instant now() const override;
  Timestamp wall() const override;
};

/// Moves only when told to. Not thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp wall_start = Timestamp{1'700'000'000'000})
      : wall_start_(wall_start) {}
  Instant now() const override { return Instant{elapsed_}; }
  Timestamp wall() const override {
    return wall_start_ + std::chrono::duration_cast<std::chrono::milliseconds>(elapsed_).count();
  }
  void advance(Duration step) { elapsed_ += step; }
  /// Shifts wall time alone, as an operator or NTP may.
  void jump_wall(std::int64_t shift_ms) { wall_start_ = wall_start_ + shift_ms; }

 private:
  Timestamp wall_start_;
  Duration elapsed_{0};
};

}  // namespace millrace::common
