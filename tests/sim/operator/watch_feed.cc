#include "tests/sim/operator/watch_feed.h"

#include <utility>

#include "operator/kube/fields.h"

namespace millrace::sim {
namespace {

using kube::ApiError;
using kube::ApiResult;
using kube::Cause;
using std::chrono::microseconds;
using std::chrono::milliseconds;

ApiResult<void> broken(Cause cause, const char* why) {
  return ApiError{.cause = cause, .detail = why};
}

}  // namespace

void WatchFeed::take(const kube::Informer::Then& then) {
  watch_.reset();
  next_ = then.next;
  due_ = now() + then.wait.value_or(common::Duration{0});
}

void WatchFeed::go_on() {
  if (busy_ || now() < due_) return;
  if (watch_) return deliver();
  if (next_ == kube::Informer::Next::kList) {
    busy_ = true;
    take(informer_.list());
    busy_ = false;
    return;
  }
  watch_ = informer_.open_watch();
  watch_ends_ = now() + watch_->duration;
  heard_.clear();
}

void WatchFeed::deliver() {
  if (faults_.cut) return;
  const std::string version = parts_.model.resource_version({&informer_.resource(), 1});
  if (version == heard_) {
    if (now() >= watch_ends_) take(informer_.close_watch({}));
    return;
  }
  auto events = parts_.model.changes_since(informer_.resource(), *watch_);
  if (!events.ok()) return take(informer_.close_watch(broken(events.error().cause, "too old")));
  for (kube::WatchEvent& event : *events) {
    watch_->resource_version = kube::text_at(event.object, {"metadata", "resourceVersion"});
    informer_.hear(std::move(event));
  }
  heard_ = version;
  // Now and then a cache is far behind.
  const bool lags = parts_.random.chance(1, 60);
  due_ = now() + (lags ? milliseconds(parts_.random.between(100, 3'000))
                       : milliseconds(parts_.random.between(1, 15)));
}

void WatchFeed::break_off(bool forgotten) {
  if (!watch_) return;
  take(informer_.close_watch(forgotten ? broken(Cause::kGone, "too old resource version")
                                       : broken(Cause::kUnavailable, "the stream was cut")));
}

}  // namespace millrace::sim
