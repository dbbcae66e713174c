// CHECK(batch.size() > 0, "empty batch at offset {}", offset);
//
// Assertions that are on in every build. A failed one means that our code is wrong: it prints where
// and why and ends the process. Bytes from a client, a peer or a disk must never be able to trip
// one.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace millrace::common {

/// Prints "CHECK failed" with place, condition and detail to standard error and aborts. Never
/// returns.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& detail);

inline std::string check_detail() {
  return {};
}
template <typename... Args>
std::string check_detail(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}

}  // namespace millrace::common

/// Ends the process when the condition is false. Optional: a fmt format string and its arguments.
#define CHECK(condition, ...)                                                          \
  do {                                                                                 \
    if (!(condition)) [[unlikely]] {                                                   \
      ::millrace::common::check_failed(__FILE__, __LINE__, #condition,                 \
                                       ::millrace::common::check_detail(__VA_ARGS__)); \
    }                                                                                  \
  } while (false)

/// As CHECK, but only in builds without NDEBUG: for checks that cost more than they guard.
#ifdef NDEBUG
#define DCHECK(condition, ...) \
  do {                         \
    (void)sizeof(condition);   \
  } while (false)
#else
#define DCHECK(condition, ...) CHECK(condition __VA_OPT__(, ) __VA_ARGS__)
#endif
