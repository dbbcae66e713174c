#include "operator/kube/informer.h"

#include <set>
#include <utility>

#include "operator/kube/fields.h"

namespace millrace::kube {

Informer::Informer(Api& api, const common::Clock& clock, common::Random random,
                   InformerOptions options)
    : api_(api),
      clock_(clock),
      random_(random),
      options_(std::move(options)),
      cache_(options_.projection, options_.index_labels),
      backoff_(options_.backoff, random_.fork()) {}

void Informer::on_change(ChangeHandler handler) {
  handlers_.push_back(std::move(handler));
}

void Informer::announce(const Change& change) {
  for (const ChangeHandler& handler : handlers_) handler(change);
}

void Informer::run(std::stop_token stop) {
  Then then;
  while (!stop.stop_requested()) {
    then = then.next == Next::kList ? list() : watch(stop);
    if (then.wait && !pause(*then.wait, stop)) return;
  }
}

Informer::Then Informer::list() {
  if (relist().ok()) return {.next = Next::kWatch, .wait = std::nullopt};
  return {.next = Next::kList, .wait = backoff_.next()};
}

ApiResult<void> Informer::relist() {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.lists;
  }
  std::set<ObjectKey> kept;
  const ChangeHandler handler = [this](const Change& change) { announce(change); };
  ListOptions list{.space = options_.space,
                   .label_selector = options_.label_selector,
                   .field_selector = options_.field_selector,
                   .limit = options_.page_limit,
                   .resource_version = {},
                   .continue_token = {}};
  auto version = list_all(
      api_, options_.resource, std::move(list),
      [&](Json&& object) {
        kept.insert(key_of(object));
        cache_.put(std::move(object), handler);
      },
      [&] { kept.clear(); });
  if (!version.ok()) {
    note_error(version.error());
    return std::move(version).error();
  }
  cache_.retain(kept, handler);
  resource_version_ = std::move(*version);
  note_success();
  synced_.store(true);
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
  return {};
}

Informer::Then Informer::watch(const std::stop_token& stop) {
  const WatchOptions options = open_watch();
  const auto take = [this](WatchEvent&& event) {
    hear(std::move(event));
    return true;
  };
  return close_watch(api_.watch(options_.resource, options, take, stop));
}

WatchOptions Informer::open_watch() {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.watches;
  }
  heard_ = false;
  opened_at_ = clock_.now();
  const std::int64_t duration = options_.watch_duration.count();
  return {.space = options_.space,
          .label_selector = options_.label_selector,
          .field_selector = options_.field_selector,
          .resource_version = resource_version_,
          .duration = common::Duration(random_.between(duration, 2 * duration))};
}

void Informer::hear(WatchEvent&& event) {
  if (!heard_) note_success();
  heard_ = true;
  std::string version = text_at(event.object, {"metadata", "resourceVersion"});
  if (event.kind != ChangeKind::kBookmark) {
    {
      const std::lock_guard lock(mutex_);
      ++counts_.events;
    }
    const ChangeHandler handler = [this](const Change& change) { announce(change); };
    if (event.kind == ChangeKind::kDeleted) {
      cache_.erase(key_of(event.object), handler);
    } else {
      cache_.put(std::move(event.object), handler);
    }
  }
  // Last: an event counts as seen once its handlers know of it.
  if (!version.empty()) resource_version_ = std::move(version);
}

Informer::Then Informer::close_watch(const ApiResult<void>& how) {
  Then then{.next = Next::kWatch, .wait = std::nullopt};
  if (how.ok()) {
    note_success();
  } else if (how.error().cause != Cause::kCancelled) {
    note_error(how.error());
    if (how.error().cause == Cause::kGone) then.next = Next::kList;
  }
  const bool lasted = clock_.now() - opened_at_ >= kShortest;
  if (lasted || heard_) backoff_.reset();
  if (!lasted) then.wait = backoff_.next();
  return then;
}

bool Informer::wait_synced(const std::stop_token& stop, common::Duration most) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, stop, most, [this] { return synced(); });
}

InformerCounts Informer::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::string Informer::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Informer::note_error(const ApiError& error) {
  const std::lock_guard lock(mutex_);
  ++counts_.errors;
  trouble_ = error.detail;
}

void Informer::note_success() {
  const std::lock_guard lock(mutex_);
  trouble_.clear();
}

}  // namespace millrace::kube
