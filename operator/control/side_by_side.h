// side_by_side(items.size(), 8, [&](std::size_t i) { write(items[i]); });
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace millrace::control {

/// Calls work(i) for every i below `count`, `threads` at a time, and returns when all are done. The
/// work must not throw. A few calls are not worth threads: they are made on the caller's.
template <typename Work>
void side_by_side(std::size_t count, std::size_t threads, const Work& work) {
  constexpr std::size_t kWorthThreads = 4;
  if (count < kWorthThreads || threads <= 1) {
    for (std::size_t i = 0; i < count; ++i) work(i);
    return;
  }
  std::atomic<std::size_t> next = 0;
  std::vector<std::jthread> running;
  for (std::size_t t = 0; t < std::min(count, threads); ++t) {
    running.emplace_back([&] {
      for (std::size_t i = next++; i < count; i = next++) work(i);
    });
  }
}

}  // namespace millrace::control
