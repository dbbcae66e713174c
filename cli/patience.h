// Patience patience(60s);   while (!done()) { if (patience.over()) return ...;   patience.pause();
// }
//
// For commands that ask again until something is so.
#pragma once

#include <chrono>
#include <thread>

namespace millrace::cli {

class Patience {
 public:
  /// 0: only one look.
  explicit Patience(std::chrono::seconds limit)
      : until_(std::chrono::steady_clock::now() + limit) {}
  bool over() const { return std::chrono::steady_clock::now() >= until_; }
  void pause() const { std::this_thread::sleep_for(std::chrono::milliseconds(250)); }

 private:
  const std::chrono::steady_clock::time_point until_;
};

}  // namespace millrace::cli
