// What the load generator and the reference program need: the clocks, and how it gives up.
#pragma once

#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace millrace::bench {

/// Nanoseconds of CLOCK_MONOTONIC, which all processes of the machine share: a driver may stamp a
/// start with it.
inline std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

/// Milliseconds since 1970: what records carry as their timestamp.
inline std::int64_t wall_ms() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1'000'000;
}

/// User and system time that this process has used, in seconds.
inline double own_cpu_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

/// Says why on standard error and ends the program. A measurement that went wrong must not look
/// like a result.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "bench: {}\n", fmt::format(format, std::forward<Args>(args)...));
  std::exit(kExitFailed);
}

}  // namespace millrace::bench
