#include "broker/coordinator/timers.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace millrace::coordinator {
namespace {

/// Void entries that are not worth a clean-up.
constexpr std::size_t kVoidEntriesMin = 64;

}  // namespace

Timer::Timer(Timers& timers, TimerTarget target)
    : timers_(&timers), slot_(timers.take_slot(std::move(target))) {}

Timer::Timer(Timer&& other) noexcept
    : timers_(std::exchange(other.timers_, nullptr)), slot_(other.slot_) {}

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this == &other) return *this;
  if (timers_ != nullptr) timers_->free_slot(slot_);
  timers_ = std::exchange(other.timers_, nullptr);
  slot_ = other.slot_;
  return *this;
}

Timer::~Timer() {
  if (timers_ != nullptr) timers_->free_slot(slot_);
}

void Timer::set(common::Instant deadline) {
  CHECK(timers_ != nullptr, "a timer of nobody");
  timers_->set(slot_, deadline);
}

void Timer::clear() {
  if (timers_ != nullptr) timers_->clear(slot_);
}

std::optional<common::Instant> Timer::deadline() const {
  return timers_ == nullptr ? std::nullopt : timers_->slots_[slot_].deadline;
}

Timers::~Timers() {
  CHECK(free_.size() == slots_.size(), "{} timers outlive their owner",
        slots_.size() - free_.size());
}

std::optional<common::Instant> Timers::next() const {
  if (armed_ == 0) return std::nullopt;
  CHECK(!heap_.empty(), "{} timers are set, but none is queued", armed_);
  return heap_.front().at;
}

std::uint32_t Timers::take_slot(TimerTarget target) {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  CHECK(!slots_[slot].used);
  slots_[slot] = Slot{.target = std::move(target), .used = true};
  return slot;
}

void Timers::free_slot(std::uint32_t slot) {
  CHECK(slots_[slot].used, "a timer was freed twice");
  clear(slot);
  slots_[slot] = Slot{};
  free_.push_back(slot);
}

void Timers::set(std::uint32_t slot, common::Instant deadline) {
  Slot& entry = slots_[slot];
  CHECK(entry.used);
  if (!entry.deadline.has_value()) ++armed_;
  entry.deadline = deadline;
  // A queued entry that comes too early finds the later deadline and queues itself again.
  if (!entry.queued.has_value() || *entry.queued > deadline) queue(slot, deadline);
}

void Timers::clear(std::uint32_t slot) {
  Slot& entry = slots_[slot];
  if (!entry.deadline.has_value()) return;
  CHECK(armed_ > 0);
  --armed_;
  entry.deadline.reset();
}

namespace {

/// The order of a heap whose front is the earliest, then the first queued.
constexpr auto kLater = [](const auto& a, const auto& b) {
  return a.at != b.at ? a.at > b.at : a.number > b.number;
};

}  // namespace

void Timers::queue(std::uint32_t slot, common::Instant at) {
  if (heap_.size() >= 2 * (slots_.size() - free_.size()) + kVoidEntriesMin) drop_void_entries();
  const Entry entry{.at = at, .number = ++entries_made_, .slot = slot};
  heap_.push_back(entry);
  std::push_heap(heap_.begin(), heap_.end(), kLater);
  slots_[slot].queued = at;
  slots_[slot].entry = entry.number;
}

bool Timers::is_void(const Entry& entry) const {
  const Slot& slot = slots_[entry.slot];
  return !slot.used || slot.entry != entry.number;
}

void Timers::drop_void_entries() {
  std::erase_if(heap_, [&](const Entry& entry) { return is_void(entry); });
  std::make_heap(heap_.begin(), heap_.end(), kLater);
}

const TimerTarget* Timers::due(common::Instant now) {
  while (!heap_.empty() && heap_.front().at <= now) {
    const Entry entry = heap_.front();
    Slot& slot = slots_[entry.slot];
    const bool is_live = !is_void(entry);
    if (is_live && slot.deadline.has_value() && *slot.deadline <= now) return &slot.target;
    std::pop_heap(heap_.begin(), heap_.end(), kLater);
    heap_.pop_back();
    if (!is_live) continue;
    slot.queued.reset();
    if (slot.deadline.has_value()) queue(entry.slot, *slot.deadline);
  }
  return nullptr;
}

std::optional<TimerTarget> Timers::take_due(common::Instant now) {
  if (due(now) == nullptr) return std::nullopt;
  const Entry entry = heap_.front();
  std::pop_heap(heap_.begin(), heap_.end(), kLater);
  heap_.pop_back();
  slots_[entry.slot].queued.reset();
  clear(entry.slot);
  return slots_[entry.slot].target;
}

}  // namespace millrace::coordinator
