#include "broker/env/timer_queue.h"

#include <algorithm>

namespace millrace::env {
namespace {

// A TimerId packs the sequence number above the slot.
constexpr std::uint64_t kSlotBits = 24;
constexpr std::uint64_t kSlotMask = (std::uint64_t{1} << kSlotBits) - 1;
// Below this a heap is never worth rebuilding.
constexpr std::size_t kHeapSmall = 64;

}  // namespace

TimerId TimerQueue::add(common::Instant at, Task task) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    CHECK(slot <= kSlotMask, "too many timers");
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[slot].sequence = ++last_sequence_;
  slots_[slot].task = std::move(task);
  heap_.push_back({at, last_sequence_, slot});
  std::push_heap(heap_.begin(), heap_.end());
  ++live_;
  return TimerId{last_sequence_ << kSlotBits | slot};
}

Task TimerQueue::free_slot(std::uint32_t slot) {
  Task task = std::move(slots_[slot].task);
  slots_[slot].sequence = 0;
  free_slots_.push_back(slot);
  --live_;
  return task;
}

void TimerQueue::cancel(TimerId timer) {
  const auto id = static_cast<std::uint64_t>(timer);
  const std::uint64_t slot = id & kSlotMask;
  if (id == 0 || slot >= slots_.size() || slots_[slot].sequence != id >> kSlotBits) return;
  const Task dropped = free_slot(static_cast<std::uint32_t>(slot));
  if (heap_.size() > kHeapSmall && heap_.size() > 2 * live_) {
    std::erase_if(heap_, [this](const Entry& entry) { return stale(entry); });
    std::make_heap(heap_.begin(), heap_.end());
  }
}

void TimerQueue::drop_stale_top() {
  while (!heap_.empty() && stale(heap_.front())) {
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
  }
}

std::optional<common::Instant> TimerQueue::next() {
  drop_stale_top();
  if (heap_.empty()) return std::nullopt;
  return heap_.front().at;
}

Task TimerQueue::take_due(common::Instant now) {
  drop_stale_top();
  if (heap_.empty() || heap_.front().at > now) return {};
  const std::uint32_t slot = heap_.front().slot;
  std::pop_heap(heap_.begin(), heap_.end());
  heap_.pop_back();
  return free_slot(slot);
}

std::vector<Task> TimerQueue::clear() {
  std::vector<Task> tasks;
  for (Slot& slot : slots_) {
    if (slot.sequence != 0) tasks.push_back(std::move(slot.task));
  }
  heap_.clear();
  slots_.clear();
  free_slots_.clear();
  live_ = 0;
  return tasks;
}

}  // namespace millrace::env
