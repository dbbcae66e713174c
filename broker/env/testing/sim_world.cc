#include "broker/env/testing/sim_world.h"

#include <algorithm>

namespace millrace::env::testing {
namespace {

// A TimerId packs the event's sequence number above its slot.
constexpr std::uint64_t kSlotBits = 24;
constexpr std::uint64_t kSlotMask = (std::uint64_t{1} << kSlotBits) - 1;

}  // namespace

SimLoop::SimLoop(SimWorld& world, std::uint32_t index)
    : world_(world), index_(index), clock_(world.clock_) {}

void SimLoop::post(Task task) {
  const common::Duration delay{static_cast<std::int64_t>(
      world_.random_.below(static_cast<std::uint64_t>(world_.post_delay_max.count()) + 1))};
  // Never before an earlier post: tasks of one thread keep their order.
  last_post_ = std::max(last_post_, world_.clock_.now() + delay);
  world_.schedule(this, last_post_ - world_.clock_.now(), std::move(task));
}

TimerId SimLoop::after(common::Duration delay, Task task) {
  CHECK(here(), "a timer was set from outside its loop");
  return world_.schedule(this, delay, std::move(task));
}

void SimLoop::cancel(TimerId timer) {
  CHECK(here(), "a timer was cancelled from outside its loop");
  world_.cancel(timer);
}

const common::Clock& SimLoop::clock() const {
  return clock_;
}

bool SimLoop::here() const {
  return !world_.running_ || world_.current_ == this;
}

void SimLoop::stop() {
  stopped_ = true;
  if (world_.running_) world_.replies_may_drop_.emplace();
  world_.drop_events_of(this);
}

void SimLoop::pause_for(common::Duration span) {
  paused_until_ = std::max(paused_until_, world_.clock_.now() + span);
}

SimWorld::SimWorld(std::uint64_t seed) : random_(seed) {}

SimWorld::~SimWorld() {
  for (const auto& loop : loops_) loop->stop();
  drop_events_of(nullptr);
}

SimLoop& SimWorld::make_loop() {
  loops_.push_back(std::make_unique<SimLoop>(*this, static_cast<std::uint32_t>(loops_.size())));
  return *loops_.back();
}

TimerId SimWorld::schedule(SimLoop* loop, common::Duration delay, Task task) {
  if (loop != nullptr && loop->stopped_) {
    const common::RepliesMayDrop nobody_listens;
    task.reset();
    return TimerId::kNone;
  }
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    CHECK(slot <= kSlotMask, "too many events are pending");
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[slot] = Slot{++last_sequence_, loop, std::move(task)};
  const common::Instant at = clock_.now() + std::max(delay, common::Duration{0});
  heap_.push_back(Entry{at, at, last_sequence_, slot});
  std::push_heap(heap_.begin(), heap_.end());
  return TimerId{last_sequence_ << kSlotBits | slot};
}

void SimWorld::cancel(TimerId event) {
  const auto id = static_cast<std::uint64_t>(event);
  if (id == 0) return;
  const std::uint64_t slot = id & kSlotMask;
  if (slot >= slots_.size() || slots_[slot].sequence != id >> kSlotBits) return;
  slots_[slot].sequence = 0;
  free_slots_.push_back(static_cast<std::uint32_t>(slot));
  // Last, because the task's destructor may come back here.
  const Task dropped = std::move(slots_[slot].task);
}

void SimWorld::drop_events_of(SimLoop* loop) {
  const common::RepliesMayDrop nobody_listens;
  std::vector<Task> dropped;
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].sequence == 0 || slots_[slot].loop != loop) continue;
    slots_[slot].sequence = 0;
    free_slots_.push_back(slot);
    dropped.push_back(std::move(slots_[slot].task));
  }
}

void SimWorld::note(std::uint64_t fact) {
  digest_ = (digest_ ^ fact) * 0xff51afd7ed558ccd;
  digest_ ^= digest_ >> 29;
}

void SimWorld::run_entry(const Entry& entry) {
  Slot& slot = slots_[entry.slot];
  Task task = std::move(slot.task);
  SimLoop* const loop = slot.loop;
  slot.sequence = 0;
  free_slots_.push_back(entry.slot);
  clock_.advance(entry.at - clock_.now());
  ++events_;
  note(static_cast<std::uint64_t>(entry.at.time_since_epoch().count()));
  note(entry.sequence << 8 | (loop == nullptr ? 255 : loop->index_ & 127));
  CHECK(!running_, "an event ran the world");
  running_ = true;
  current_ = loop;
  task();
  task.reset();
  replies_may_drop_.reset();
  current_ = nullptr;
  running_ = false;
}

bool SimWorld::drop_stale_top() {
  if (heap_.empty() || slots_[heap_.front().slot].sequence == heap_.front().sequence) return false;
  std::pop_heap(heap_.begin(), heap_.end());
  heap_.pop_back();
  return true;
}

bool SimWorld::put_off(Entry entry) {
  const SimLoop* const loop = slots_[entry.slot].loop;
  if (loop == nullptr || loop->paused_until_ <= entry.at) return false;
  entry.at = loop->paused_until_;
  heap_.push_back(entry);
  std::push_heap(heap_.begin(), heap_.end());
  return true;
}

bool SimWorld::step() {
  while (drop_stale_top()) {
  }
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end());
  const Entry entry = heap_.back();
  heap_.pop_back();
  if (!put_off(entry)) run_entry(entry);
  return true;
}

void SimWorld::run(std::uint64_t events_max) {
  for (std::uint64_t count = 0; step(); ++count) {
    CHECK(count < events_max, "the world did not come to rest");
  }
}

void SimWorld::run_for(common::Duration span) {
  const common::Instant end = clock_.now() + span;
  for (;;) {
    while (drop_stale_top()) {
    }
    if (heap_.empty() || heap_.front().at > end) break;
    step();
  }
  clock_.advance(end - clock_.now());
}

bool SimWorld::run_until(common::Function<bool()> condition, common::Duration limit) {
  const common::Instant end = clock_.now() + limit;
  while (!condition()) {
    while (drop_stale_top()) {
    }
    if (heap_.empty() || heap_.front().at > end) return false;
    step();
  }
  return true;
}

}  // namespace millrace::env::testing
