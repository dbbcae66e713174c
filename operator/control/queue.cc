#include "operator/control/queue.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::control {

using common::Duration;
using common::Instant;

void QueueState::schedule(const Key& key, Item& item, Instant when) {
  if (item.due) {
    if (*item.due <= when) return;
    waiting_.erase({*item.due, key});
  }
  item.due = when;
  if (!item.working) waiting_.insert({when, key});
}

void QueueState::add(const Key& key, Instant now) {
  Item& item = items_[key];
  schedule(key, item, std::max(now, item.not_before));
}

std::optional<Key> QueueState::take(Instant now) {
  if (waiting_.empty() || waiting_.begin()->first > now) return std::nullopt;
  const Key key = waiting_.begin()->second;
  waiting_.erase(waiting_.begin());
  Item& item = items_.at(key);
  CHECK(!item.working, "{} is at two workers", key.text());
  item.working = true;
  item.due.reset();
  return key;
}

Duration QueueState::backoff(int failures) const {
  Duration wait = settings_.backoff_first;
  for (int i = 1; i < failures && wait < settings_.backoff_most; ++i) wait *= 2;
  return std::min(wait, settings_.backoff_most);
}

void QueueState::done(const Key& key, const Ending& ending, Instant now) {
  const auto found = items_.find(key);
  CHECK(found != items_.end() && found->second.working, "{} does not work", key.text());
  Item& item = found->second;
  item.working = false;
  item.not_before = now + settings_.spacing;
  // What was added meanwhile waits for its spacing, too.
  const bool added = item.due.has_value();
  item.due.reset();
  if (added) schedule(key, item, item.not_before);
  if (ending.kind == Ending::Kind::kFailed) {
    ++retries_;
    ++item.failures;
    Duration wait = backoff(item.failures);
    if (ending.after) wait = std::min(wait, *ending.after);
    schedule(key, item, now + std::max(wait, settings_.spacing));
    return;
  }
  item.failures = 0;
  if (ending.kind == Ending::Kind::kAgain) {
    schedule(key, item, item.not_before);
  } else if (ending.after) {
    schedule(key, item, now + std::max(*ending.after, settings_.spacing));
  }
  std::erase_if(items_, [now](const auto& known) {
    const Item& idle = known.second;
    return !idle.working && !idle.due && idle.not_before <= now;
  });
}

std::optional<Instant> QueueState::next() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.begin()->first;
}

std::size_t QueueState::depth(Instant now) const {
  return static_cast<std::size_t>(
      std::count_if(waiting_.begin(), waiting_.end(),
                    [now](const auto& waiting) { return waiting.first <= now; }));
}

Duration QueueState::oldest(Instant now) const {
  if (waiting_.empty() || waiting_.begin()->first > now) return Duration(0);
  return now - waiting_.begin()->first;
}

Queue::Queue(const common::Clock& clock, QueueSettings settings)
    : clock_(clock), state_(settings) {}

void Queue::add(const Key& key) {
  {
    const std::lock_guard lock(mutex_);
    state_.add(key, clock_.now());
  }
  changed_.notify_one();
}

std::optional<Key> Queue::take(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const Instant now = clock_.now();
    if (auto key = state_.take(now)) {
      // There may be more for the next worker.
      changed_.notify_one();
      return key;
    }
    const std::optional<Instant> next = state_.next();
    const auto moved = [this, next] { return state_.next() != next; };
    if (next) {
      changed_.wait_for(lock, stop, *next - now, moved);
    } else {
      changed_.wait(lock, stop, moved);
    }
  }
  return std::nullopt;
}

std::optional<Key> Queue::try_take() {
  const std::lock_guard lock(mutex_);
  return state_.take(clock_.now());
}

void Queue::done(const Key& key, const Ending& ending) {
  {
    const std::lock_guard lock(mutex_);
    state_.done(key, ending, clock_.now());
  }
  changed_.notify_all();
}

Queue::Numbers Queue::numbers() const {
  const std::lock_guard lock(mutex_);
  const Instant now = clock_.now();
  return {state_.depth(now), state_.oldest(now), state_.retries()};
}

std::optional<Instant> Queue::next() const {
  const std::lock_guard lock(mutex_);
  return state_.next();
}

}  // namespace millrace::control
