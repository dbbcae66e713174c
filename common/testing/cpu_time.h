// const double before = common::testing::cpu_seconds();
//
// What a part has cost, for the benchmarks beside the code.
#pragma once

#include <sys/resource.h>

namespace millrace::common::testing {

/// User and system time that this process has used.
inline double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace millrace::common::testing
