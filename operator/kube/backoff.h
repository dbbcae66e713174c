// How long to wait before the next try.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "common/clock.h"
#include "common/random.h"

namespace millrace::kube {

/// Doubles from `first` to `most`, each drawn from the upper half of its range, so that many
/// clients of a server that comes back do not ask all at once. Not thread-safe.
class Backoff {
 public:
  struct Settings {
    common::Duration first = std::chrono::milliseconds(250);
    common::Duration most = std::chrono::seconds(30);
  };
  Backoff(Settings settings, common::Random random);

  /// The wait before the next try, longer each time.
  common::Duration next();
  /// Something worked: begin anew.
  void reset() { step_ = settings_.first; }

 private:
  const Settings settings_;
  common::Random random_;
  common::Duration step_;
};

/// Waits so long in real time; false if `stop` was asked for before.
bool pause(common::Duration wait, const std::stop_token& stop);

}  // namespace millrace::kube
