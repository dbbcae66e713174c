#include "operator/kube/backoff.h"

#include <algorithm>

namespace millrace::kube {

Backoff::Backoff(Settings settings, common::Random random)
    : settings_(settings), random_(random), step_(settings.first) {
  CHECK(settings.first.count() > 0, "a back-off begins above zero");
  CHECK(settings.first <= settings.most);
}

common::Duration Backoff::next() {
  const std::int64_t most = step_.count();
  step_ = std::min(step_ * 2, settings_.most);
  return common::Duration(random_.between(most / 2, most));
}

bool pause(common::Duration wait, const std::stop_token& stop) {
  std::mutex mutex;  // guards nothing but the waiting itself
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, wait, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace millrace::kube
